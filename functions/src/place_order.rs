//! `POST /orders`: takes an order, once for each idempotency key. Taking it is one write; everything else follows from
//! the event in that write.

use domain::Refusal;
use domain::accounts;
use domain::books::Key;
use domain::ids::{Fingerprint, OrderId};
use domain::orders::{self, IfLacking, PlaceOrder, Wanted};
use domain::text::Description;
use platform::App;
use platform::http::{Problem, Request, Response, Value};
use platform::store::Needs;

use crate::views;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    let customer = request.caller()?.customer;
    let key = request.idempotency_key()?;
    let terms = &app.config.terms;
    let mut fields = request.fields()?;
    let amount = fields.required("amount", |value| value.amount(terms.currency))?;
    let currency = fields.optional("currency", |value| value.currency())?;
    let description = fields.optional("description", description)?;
    let if_unpaid = fields.optional("if_unpaid", if_unpaid)?.unwrap_or_default();
    let fingerprint = Fingerprint::of(&request.route, &fields.finish()?);
    accounts::currency_of(currency, terms)?;
    let (id, wanted) = (OrderId::of(&customer, &key), Wanted::Amount(amount));
    let command = PlaceOrder { id, customer, wanted, description, if_unpaid, fingerprint };
    let placed = app
        .store
        .decide(Needs::presume_absent(Key::Order(command.id)), |books, now| {
            books.decide(|draft| orders::place(draft, &command, now, terms))
        })
        .await?;
    let replayed = placed.is_replay();
    let order = placed.into_inner();
    let answer = Response::json(201, &views::placed(&order)).header("location", format!("/orders/{}", order.id));
    Ok(answer.replayed(replayed))
}

fn description(value: Value<'_>) -> Result<(Description, String), Problem> {
    let text = value.text()?;
    Ok((Description::new(&text)?, text))
}

fn if_unpaid(value: Value<'_>) -> Result<(IfLacking, String), Problem> {
    let text = value.text()?;
    let choice = match text.as_str() {
        "wait" => IfLacking::Wait,
        "cancel" => IfLacking::Cancel,
        _ => return Err(Refusal::IfUnpaidUnknown.into()),
    };
    Ok((choice, text))
}
