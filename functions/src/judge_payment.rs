//! `POST /payments/{id}/complete` and `/fail`: an operator says whether the money of a payment is there, of which nobody
//! else can know. Its state is the key: saying the same again finds it said.

use domain::books::Key;
use domain::payments::{self, Verdict};
use platform::App;
use platform::http::{Problem, Request, Response, scopes};
use platform::store::Needs;

use crate::get_payment;
use crate::views::payments::of_operator;

pub(crate) async fn handle(app: &App, request: Request) -> Result<Response, Problem> {
    request.caller_with(scopes::OPERATOR)?;
    let verdict = if request.route.ends_with("/complete") { Verdict::Completed } else { Verdict::Failed };
    let id = get_payment::id(&request)?;
    let judged = app
        .store
        .decide(Needs::load([Key::Payment(id)]), |books, now| {
            books.decide(|draft| payments::judge(draft, id, verdict, now))
        })
        .await?
        .into_inner();
    let open = get_payment::open_refunds(app, &judged).await?;
    Ok(Response::json(200, &of_operator(&judged, &open)))
}
