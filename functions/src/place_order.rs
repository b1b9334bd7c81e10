//! `POST /orders`: takes an order, once for each idempotency key. Taking it is one write; everything else follows from
//! the event in that write.

use domain::accounts;
use domain::books::{Draft, Key};
use domain::goods::Lines;
use domain::ids::{Fingerprint, OrderId, Sku};
use domain::orders::{self, Asked, Order, PayWith, PlaceOrder, Wanted};
use domain::text::Description;
use domain::{Outcome, Refusal};
use platform::http::{Fields, Problem, Request, Response, Value};
use platform::store::Needs;
use platform::{App, Failure};

use crate::views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    let key = request.idempotency_key()?;
    let terms = &app.config.terms;
    let mut fields = request.fields()?;
    let asked = Asked {
        amount: fields.optional("amount", |value| value.amount(terms.currency))?,
        lines: fields.optional("lines", lines)?,
        slot: fields.optional("slot", |value| value.slot())?,
        reserve_first: fields.optional("reserve_first", |value| value.flag())?,
        if_unavailable: fields.optional("if_unavailable", |value| value.if_lacking(Refusal::IfUnavailableUnknown))?,
        if_undeliverable: fields
            .optional("if_undeliverable", |value| value.if_lacking(Refusal::IfUndeliverableUnknown))?,
    };
    let currency = fields.optional("currency", |value| value.currency())?;
    let description = fields.optional("description", description)?;
    let if_unpaid = fields.optional("if_unpaid", |value| value.if_lacking(Refusal::IfUnpaidUnknown))?;
    let pay_with = fields.optional("pay_with", |value| value.pay_with())?;
    let fingerprint = Fingerprint::of(&request.route, &fields.finish()?);
    accounts::currency_of(currency, terms)?;
    let (id, wanted) = (OrderId::of(&customer, &key), asked.wanted()?);
    let placed = match pay_with.unwrap_or_default().here(app.config.offered) {
        Some(pay_with) => {
            let if_unpaid = if_unpaid.unwrap_or_default();
            let command = PlaceOrder { id, customer, wanted, description, pay_with, if_unpaid, fingerprint };
            place(app, &command).await?
        }
        None => {
            let needs = Needs::load([Key::Order(id)]);
            let before = |draft: &mut Draft<'_>| orders::placed_before(draft, id, fingerprint);
            app.store.decide(needs, |books, _| books.decide(before)).await?
        }
    };
    let replayed = placed.is_replay();
    let order = placed.into_inner();
    let answer = Response::json(201, &views::placed(&order)).header("location", format!("/orders/{}", order.id));
    Ok(answer.replayed(replayed))
}

async fn place(app: &App, command: &PlaceOrder) -> Result<Outcome<Order>, Failure> {
    // A payment may have been reported of before, so an order by card presumes nothing.
    let needs = match (&command.wanted, command.pay_with) {
        (Wanted::Amount(_), PayWith::Balance) => Needs::presume_absent(Key::Order(command.id)),
        (Wanted::Amount(_), PayWith::Card(_)) | (Wanted::Goods(_), _) => Needs::load(command.needs()),
    };
    let terms = &app.config.terms;
    app.store.decide(needs, |books, now| books.decide(|draft| orders::place(draft, command, now, terms))).await
}

fn description(value: Value<'_>) -> Result<(Description, String), Problem> {
    let text = value.text()?;
    Ok((Description::new(&text)?, text))
}

fn lines(value: Value<'_>) -> Result<(Lines, String), Problem> {
    let (lines, canonical) = value.list(line)?;
    Ok((Lines::new(lines)?, canonical))
}

fn line(fields: &mut Fields) -> Result<(Sku, u32), Problem> {
    let sku = fields.required("sku", |value| value.sku())?;
    Ok((sku, fields.required("quantity", |value| value.quantity())?))
}
