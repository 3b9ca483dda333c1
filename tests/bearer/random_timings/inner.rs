//! An inner service that becomes ready at random, and checks how the layer uses it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::time::{Instant, Sleep, sleep};
use tower::Service;

use super::world::World;

pub(super) struct Inner {
    world: Arc<World>,
    state: State,
}

enum State {
    Idle,
    Busy(Pin<Box<Sleep>>),
    /// Occupies a slot, since then.
    Ready(Instant),
}

impl Inner {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, state: State::Idle }
    }

    /// Ends the readiness, which nobody may keep while time passes.
    fn release(&mut self) -> bool {
        let State::Ready(since) = std::mem::replace(&mut self.state, State::Idle) else { return false };
        if since.elapsed() > Duration::ZERO {
            self.world.report(format!("a ready service was held for {:?}", since.elapsed()));
        }
        true
    }
}

impl Clone for Inner {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.world))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.release();
    }
}

impl Service<Request<usize>> for Inner {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        loop {
            match &mut self.state {
                State::Idle => self.state = State::Busy(Box::pin(sleep(self.world.service_delay()))),
                State::Busy(delay) => {
                    std::task::ready!(delay.as_mut().poll(cx));
                    self.state = State::Ready(Instant::now());
                }
                State::Ready(_) => return Poll::Ready(Ok(())),
            }
        }
    }

    fn call(&mut self, request: Request<usize>) -> Self::Future {
        if !self.release() {
            self.world.report("a service was called that is not ready".to_owned());
        }
        ready(Ok(self.world.receive(&request)))
    }
}
