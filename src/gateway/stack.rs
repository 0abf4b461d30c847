//! The path of a request, top to bottom.

use std::{convert::Infallible, rc::Rc};

use http::{Request, Response};
use hyper::body::Incoming;
use tower::{Service, ServiceBuilder};

use super::{
    access::{admit, admit_to_route},
    around::Around,
    arrive::Arrive,
    ask::Ask,
    authenticate::{authenticate, disown},
    balance::balance,
    body::Body,
    client::Client,
    compress::compress,
    cors::Share,
    edits::edit,
    forward::Forward,
    limit::{limit_body, limit_head},
    matching::route,
    observe::Observe,
    rate_limit::within_limits,
    refuse::Refuse,
    step::Step,
    validate::validate,
};

/// The stack of one client's connection: the first line sees a request first and its response last.
///
/// Every layer is always ready, so that `call` may follow without asking.
pub(super) fn stack(
    client: Rc<Client>,
) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> {
    ServiceBuilder::new()
        .layer(Arrive(client)) //   a correlation id and a time of arrival, before anything can be said of the request
        .layer(Observe) //          sees every request and every answer, whoever gave it, to the last byte
        .layer(Share) //            pages may read refusals, too; browsers ask before anybody can say who they are
        .layer(Refuse) //           inside of here a refusal is an error, outside it is a response like any other
        .layer(Step(admit)) //      whoever is denied learns nothing, not even what there is
        .layer(Step(limit_head)) // what is too long is not looked into
        .layer(Step(disown)) //     nor is anything decided by what only we say of clients
        .layer(Step(route)) //      everything further in is configured by the route
        .layer(Step(admit_to_route)) // from where a request comes costs nothing to know
        .layer(Step(limit_body)) // nor is anything else done for a body that will not be taken
        .layer(Ask(authenticate)) // who they are, before it counts for whom
        .layer(Ask(within_limits)) // who has had enough is not worth any work beyond that
        .layer(Ask(validate)) //    before anything is made of it, what a request must be; a body may have to be seen whole
        .layer(Around(compress)) // sees responses as the edits leave them
        .layer(Around(edit)) //     values are made of the request as it came, for one that may pass
        .layer(Step(balance)) //    a target is chosen last, when it is sure that there will be a request
        .service(Forward)
}
