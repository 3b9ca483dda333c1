//! How many instructions a call takes in memory: a generated stub, the same stub with the facade's
//! metadata and deadline, and the facade, over a service that answers at once.
//!
//! `cargo bench --bench rpc_instructions` runs itself under callgrind, if valgrind is installed, and
//! prints instructions per call. They hardly vary from run to run, so they show small changes that
//! times hide. To see where they go, take the program's path from `cargo bench --no-run` and run
//!
//! ```sh
//! valgrind --tool=callgrind PROGRAM --count 1000 --way facade
//! callgrind_annotate callgrind.out.*
//! ```

#[path = "support/callgrind.rs"]
mod callgrind;
mod support;

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use support::{
    Arguments, BoxError, Calls, TOKEN_BYTES_ARGUMENT, USER_AGENT, Way, builder, constant_reply,
    grpc_reply::success_framed,
};
use tonic::body::Body;

const WAY: &str = "--way";

fn main() -> Result<(), BoxError> {
    let arguments = Arguments::read();
    let token_bytes = arguments.token_bytes()?;
    if let Some(number) = arguments.value(callgrind::COUNT)? {
        let way = arguments.value(WAY)?.ok_or("--way raw, equal-wire or facade?")?;
        return make(number, way, token_bytes);
    }
    // Under `cargo test` a glance is enough.
    if !arguments.has("--bench") {
        return Way::ALL.into_iter().try_for_each(|way| make(10, way, token_bytes));
    }
    if !callgrind::is_installed() {
        return Ok(());
    }
    let mut wire = None;
    println!("{:<12}{:>20}{:>22}", "", "instructions/call", "above equal-wire");
    for way in Way::ALL {
        let arguments = [WAY, &way.to_string(), TOKEN_BYTES_ARGUMENT, &token_bytes.to_string()];
        let count = callgrind::instructions(&arguments)?;
        if way == Way::EqualWire {
            wire = Some(count);
        }
        let above = wire.map_or(String::new(), |wire| format!("{:+}", count as i64 - wire as i64));
        println!("{way:<12}{count:>20}{above:>22}");
    }
    Ok(())
}

/// Makes calls one after the other, in memory.
fn make(number: u64, way: Way, token_bytes: usize) -> Result<(), BoxError> {
    let service = Constant(constant_reply(token_bytes));
    let facade = builder(token_bytes)?.endpoint("http://127.0.0.1:1").build_with(service.clone())?;
    let calls = Calls::new(service, facade, Some(USER_AGENT), token_bytes)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        for _ in 0..number {
            calls.call(way).await?;
        }
        Ok(())
    })
}

/// A service that is always ready, and answers each whole request with the constant reply.
#[derive(Clone)]
struct Constant(Bytes);

impl tower_service::Service<Request<Body>> for Constant {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        Answer { request: request.into_body(), reply: self.0.clone() }
    }
}

struct Answer {
    request: Body,
    reply: Bytes,
}

impl Future for Answer {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Reading the request is what makes the client encode it.
        while ready!(Pin::new(&mut self.request).poll_frame(cx)).is_some() {}
        Poll::Ready(Ok(success_framed(mem::take(&mut self.reply))))
    }
}
