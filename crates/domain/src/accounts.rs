//! Accounts: a balance, and the numbered entries that it is the sum of. Every movement is one entry from one account
//! to another; the other side of a customer's entry is a system account, which no customer id can name and which is
//! no item of its own: what it holds is summed from the entries.

use serde::{Deserialize, Serialize};

use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::ids::{CustomerId, DepositId, Fingerprint, OrderId};
use crate::{Amount, Currency, Millis, Movement, Outcome, Refusal, Terms, Timestamp, planted};

/// A customer's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub customer: CustomerId,
    pub currency: Currency,
    pub balance: Amount,
    /// The number of the last entry, and so how many there are.
    pub entries: u64,
    pub opened_at: Timestamp,
    /// Which renderer shaped the answer to its opening.
    pub renderer: u32,
}

/// One movement of money, as the customer's side of it. Never changed once written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub customer: CustomerId,
    /// From 1, without a gap.
    pub number: u64,
    pub amount: Movement,
    pub currency: Currency,
    pub counter: SystemAccount,
    pub cause: Cause,
    /// After this entry.
    pub balance: Amount,
    pub at: Timestamp,
}

/// The other side of customers' entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SystemAccount {
    /// Money that came in from outside.
    #[serde(rename = "system#deposits")]
    Deposits,
    /// What orders were paid with.
    #[serde(rename = "system#revenue")]
    Revenue,
    /// What a gateway took for us and has not given back.
    #[serde(rename = "system#gateway")]
    Gateway,
    /// What came in some other way, as an operator says.
    #[serde(rename = "system#confirmed")]
    Confirmed,
}

/// What an entry was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Deposit(DepositId),
    Order(OrderId),
    /// What an order was charged, given back.
    Refund(OrderId),
}

/// A deposit: the idempotency record and the resource in one, committed with its effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    pub id: DepositId,
    pub customer: CustomerId,
    pub amount: Amount,
    pub currency: Currency,
    /// Which entry it made.
    pub entry: u64,
    pub balance_after: Amount,
    pub created_at: Timestamp,
    pub fingerprint: Fingerprint,
    pub renderer: u32,
}

/// The newest way of rendering an answer; what is created now carries it along for ever.
pub const RENDERER: u32 = 1;

/// Why an account cannot pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing(pub Amount);

impl Account {
    pub fn new(customer: CustomerId, currency: Currency, opened_at: Timestamp) -> Self {
        Self { customer, currency, balance: Amount::ZERO, entries: 0, opened_at, renderer: RENDERER }
    }

    /// Takes money in. The only way a balance rises.
    pub fn credit(
        self,
        amount: Amount,
        counter: SystemAccount,
        cause: Cause,
        at: Timestamp,
    ) -> Result<(Self, Entry), Refusal> {
        let movement = Movement::into_account(amount);
        let balance = movement.applied_to(self.balance).ok_or(Refusal::BalanceTooLarge)?;
        Ok(self.post(movement, balance, counter, cause, at))
    }

    /// Pays, or says how much is missing. The only way a balance falls.
    pub fn debit(
        self,
        amount: Amount,
        counter: SystemAccount,
        cause: Cause,
        at: Timestamp,
    ) -> Result<(Self, Entry), Missing> {
        let covers = |balance: &Amount| !(planted!(WholeBalanceRefused) && balance.is_zero());
        let Some(balance) = self.balance.checked_sub(amount).filter(covers) else {
            let missing = amount.checked_sub(self.balance).unwrap_or(Amount::ZERO);
            return Err(Missing(missing));
        };
        Ok(self.post(Movement::out_of_account(amount), balance, counter, cause, at))
    }

    fn post(
        mut self,
        amount: Movement,
        balance: Amount,
        counter: SystemAccount,
        cause: Cause,
        at: Timestamp,
    ) -> (Self, Entry) {
        self.balance = balance;
        self.entries += 1;
        let (customer, number, currency) = (self.customer, self.entries, self.currency);
        let entry = Entry { customer, number, amount, currency, counter, cause, balance, at };
        (self, entry)
    }
}

/// Opens the customer's account, or finds it open.
pub fn open(
    draft: &mut Draft<'_>,
    customer: CustomerId,
    currency: Option<Currency>,
    now: Timestamp,
    terms: &Terms,
) -> Result<Outcome<Account>, Halt> {
    let currency = currency_of(currency, terms)?;
    if let Some(account) = draft.get::<Account>(Key::Account(customer))? {
        return Ok(Outcome::AlreadyDone(account));
    }
    let account = Account::new(customer, currency, now);
    draft.put(account.clone())?;
    draft.tell(Key::Account(customer), Told::AccountOpened, now)?;
    Ok(Outcome::Done(account))
}

/// What a deposit asks for.
#[derive(Clone, Debug)]
pub struct MakeDeposit {
    pub id: DepositId,
    pub customer: CustomerId,
    pub amount: Amount,
    pub fingerprint: Fingerprint,
}

impl MakeDeposit {
    pub fn needs(&self) -> [Key; 2] {
        [Key::Deposit(self.id), Key::Account(self.customer)]
    }
}

/// Takes a deposit, once for each key, and opens the account if need be.
pub fn deposit(
    draft: &mut Draft<'_>,
    command: &MakeDeposit,
    now: Timestamp,
    terms: &Terms,
) -> Result<Outcome<Deposit>, Halt> {
    let is_known = |made: &Deposit| !(planted!(DepositWindow) && made.created_at.after(Millis::minutes(5)) < now);
    if let Some(made) = draft.get::<Deposit>(Key::Deposit(command.id))?.filter(is_known) {
        return replay(made.fingerprint == command.fingerprint, made);
    }
    let account = draft.get::<Account>(Key::Account(command.customer))?;
    let opens = account.is_none();
    let account = account.unwrap_or_else(|| Account::new(command.customer, terms.currency, now));
    currency_of(Some(account.currency), terms)?;
    let (account, entry) = account.credit(command.amount, SystemAccount::Deposits, Cause::Deposit(command.id), now)?;
    let made = Deposit {
        id: command.id,
        customer: command.customer,
        amount: command.amount,
        currency: account.currency,
        entry: entry.number,
        balance_after: entry.balance,
        created_at: now,
        fingerprint: command.fingerprint,
        renderer: RENDERER,
    };
    let key = Key::Account(command.customer);
    draft.put(account)?;
    draft.insert(entry)?;
    if !planted!(EffectAlone) {
        draft.put(made.clone())?;
    }
    if opens {
        draft.tell(key, Told::AccountOpened, now)?;
    }
    let told = Told::MoneyDeposited { deposit: made.id, amount: made.amount, balance: made.balance_after };
    draft.tell(key, told, now)?;
    if !(planted!(WakeOnlyFromZero) && made.balance_after > made.amount) {
        draft.tell(key, Told::MoneyAvailable, now)?;
    }
    Ok(Outcome::Done(made))
}

/// The stack's currency, which is the only one that may be named.
pub fn currency_of(named: Option<Currency>, terms: &Terms) -> Result<Currency, Refusal> {
    match named {
        Some(named) if named != terms.currency => Err(Refusal::CurrencyNotOfThisStack { stack: terms.currency }),
        _ => Ok(terms.currency),
    }
}

/// What was made under this key before, if it was the same request.
pub(crate) fn replay<T>(same_request: bool, made: T) -> Result<Outcome<T>, Halt> {
    if same_request || planted!(FingerprintIgnored) {
        Ok(Outcome::AlreadyDone(made))
    } else {
        Err(Refusal::KeyUsedForAnotherRequest.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Millis;
    use crate::books::{Books, Change, Found, Kept};
    use crate::ids::IdempotencyKey;

    fn terms() -> Terms {
        Terms { currency: Currency::from_code("EUR").unwrap(), wait: Millis::hours(72) }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn command(key: &str, minor: i64) -> MakeDeposit {
        let customer = CustomerId::of("test", "alice");
        MakeDeposit {
            id: DepositId::of(&customer, &IdempotencyKey::parse(key).unwrap()),
            customer,
            amount: Amount::from_minor(minor).unwrap(),
            fingerprint: Fingerprint::of("POST /deposits", &[("amount", minor.to_string())]),
        }
    }

    fn empty(command: &MakeDeposit) -> Books {
        let mut books = Books::default();
        command.needs().into_iter().for_each(|key| books.lay(key, None));
        books
    }

    #[test]
    fn a_first_deposit_opens_the_account_and_is_one_commit() {
        let command = command("k", 500);
        let mut books = empty(&command);
        let made = books.decide(|draft| deposit(draft, &command, at(7), &terms())).unwrap();
        let Outcome::Done(made) = made else { panic!("{made:?}") };
        assert_eq!((made.entry, made.balance_after.minor()), (1, 500));
        let changes = books.changes();
        assert_eq!(changes.len(), 3, "account, entry and deposit: {changes:?}");
        assert!(changes.iter().all(|change| matches!(change, Change::Put { over: None, .. })));
        let told: Vec<_> = changes.iter().flat_map(events).map(|event| event.told.clone()).collect();
        assert!(matches!(told[..], [Told::AccountOpened, Told::MoneyDeposited { .. }, Told::MoneyAvailable]));
    }

    fn events<'a>(change: &Change<'a>) -> &'a [crate::events::Event] {
        match change {
            Change::Put { events, .. } => events,
            _ => &[],
        }
    }

    #[test]
    fn a_repeat_is_answered_and_another_request_under_the_key_is_refused() {
        let first = command("k", 500);
        let mut books = empty(&first);
        let made = books.decide(|draft| deposit(draft, &first, at(7), &terms())).unwrap().into_inner();
        let again = books.decide(|draft| deposit(draft, &first, at(8), &terms()));
        assert_eq!(again, Ok(Outcome::AlreadyDone(made)));
        let other = books.decide(|draft| deposit(draft, &command("k", 900), at(9), &terms()));
        assert_eq!(other, Err(Halt::Refused(Refusal::KeyUsedForAnotherRequest)));
    }

    #[test]
    fn a_balance_beyond_counting_is_refused() {
        let command = command("k", 1);
        let mut account = Account::new(command.customer, terms().currency, at(1));
        account.balance = Amount::from_minor(i64::MAX).unwrap();
        let mut books = empty(&command);
        books.lay(account.key(), Some(Found { item: account.into_item(), version: 1 }));
        let refused = books.decide(|draft| deposit(draft, &command, at(2), &terms()));
        assert_eq!(refused, Err(Halt::Refused(Refusal::BalanceTooLarge)));
    }

    #[test]
    fn opening_twice_finds_the_first_and_another_currency_is_refused() {
        let customer = CustomerId::of("test", "alice");
        let mut books = Books::default();
        books.lay(Key::Account(customer), None);
        let mut open_at = |millis| books.decide(|draft| open(draft, customer, None, at(millis), &terms())).unwrap();
        let first = open_at(1);
        assert_eq!(open_at(2), Outcome::AlreadyDone(first.into_inner()));
        let dollars = Currency::from_code("USD");
        let refused = books.decide(|draft| open(draft, customer, dollars, at(3), &terms()));
        assert_eq!(refused, Err(Halt::Refused(Refusal::CurrencyNotOfThisStack { stack: terms().currency })));
    }

    proptest! {
        #[test]
        fn entries_are_numbered_and_sum_to_the_balance(moves in prop::collection::vec(-5_000_i64..5_000, 0..60)) {
            let customer = CustomerId::of("test", "alice");
            let cause = Cause::Deposit(command("k", 1).id);
            let mut account = Account::new(customer, terms().currency, at(0));
            let mut entries = Vec::new();
            for minor in moves {
                let amount = Amount::from_minor(minor.abs()).unwrap();
                let posted = if minor < 0 {
                    account.clone().debit(amount, SystemAccount::Revenue, cause, at(1)).ok()
                } else {
                    account.clone().credit(amount, SystemAccount::Deposits, cause, at(1)).ok()
                };
                match posted {
                    Some((after, entry)) => {
                        account = after;
                        entries.push(entry);
                    }
                    None => prop_assert!(account.balance < amount, "only what is missing is refused"),
                }
            }
            let numbers: Vec<_> = entries.iter().map(|entry| entry.number).collect();
            prop_assert_eq!(numbers, (1..=account.entries).collect::<Vec<_>>());
            let sum: i64 = entries.iter().map(|entry| entry.amount.minor()).sum();
            prop_assert_eq!(sum, account.balance.minor());
            prop_assert!(entries.last().is_none_or(|last| last.balance == account.balance));
        }
    }
}
