//! Where hyper hands requests to the stack, whatever version of HTTP they came in.

use std::{cell::RefCell, convert::Infallible, rc::Rc};

use http::{Request, Response};
use hyper::body::Incoming;
use tower::Service;

use super::{
    super::{body::Body, stack::stack},
    Client,
};

/// The stack of one connection.
pub(super) struct Entrance<S>(RefCell<S>);

/// The stack of a client's connection, for hyper.
pub(super) fn entrance(
    client: &Rc<Client>,
) -> impl hyper::service::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible> + use<> {
    Entrance(RefCell::new(stack(Rc::clone(client))))
}

impl<S> hyper::service::Service<Request<Incoming>> for Entrance<S>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = S::Future;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.0.borrow_mut().call(request)
    }
}
