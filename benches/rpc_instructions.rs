//! How many instructions a call takes in memory: a generated stub, the same stub with the facade's
//! metadata and deadline, and the facade, over a service that answers at once.
//!
//! `cargo bench --bench rpc_instructions` runs itself under callgrind, if valgrind is installed, and
//! prints instructions per call. They hardly vary from run to run, so they show small changes that
//! times hide. To see where they go, take the program's path from `cargo bench --no-run` and run
//!
//! ```sh
//! valgrind --tool=callgrind PROGRAM --calls 1000 --way facade
//! callgrind_annotate callgrind.out.*
//! ```

mod support;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll, ready};
use std::{env, mem};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use support::{
    Arguments, BoxError, Calls, TOKEN_BYTES_ARGUMENT, USER_AGENT, Way, builder, constant_reply,
    grpc_reply::success_framed,
};
use tonic::body::Body;

/// The two numbers of calls whose difference is counted.
const FEW: u64 = 500;
const MANY: u64 = 2_500;

/// `--calls N --way WAY` makes N calls and says nothing.
const CALLS: &str = "--calls";
const WAY: &str = "--way";

fn main() -> Result<(), BoxError> {
    let arguments = Arguments::read();
    let token_bytes = arguments.token_bytes()?;
    if let Some(number) = arguments.value(CALLS)? {
        let way = arguments.value(WAY)?.ok_or("--way raw, equal-wire or facade?")?;
        return make(number, way, token_bytes);
    }
    // Under `cargo test` a glance is enough.
    if !arguments.has("--bench") {
        return Way::ALL.into_iter().try_for_each(|way| make(10, way, token_bytes));
    }
    if !valgrind().arg("--version").output().is_ok_and(|output| output.status.success()) {
        println!("valgrind is not installed: no instructions counted");
        return Ok(());
    }
    let mut wire = None;
    println!("{:<12}{:>20}{:>22}", "", "instructions/call", "above equal-wire");
    for way in Way::ALL {
        let count = instructions(way, token_bytes)?;
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

fn valgrind() -> Command {
    Command::new("valgrind")
}

/// The instructions of one call: what more calls cost more, so that the start does not count.
fn instructions(way: Way, token_bytes: usize) -> Result<u64, BoxError> {
    Ok((collected(MANY, way, token_bytes)? - collected(FEW, way, token_bytes)?) / (MANY - FEW))
}

/// The instructions of a whole run, as callgrind counts them.
fn collected(number: u64, way: Way, token_bytes: usize) -> Result<u64, BoxError> {
    let output = valgrind()
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([CALLS, &number.to_string(), WAY, &way.to_string()])
        .args([TOKEN_BYTES_ARGUMENT, &token_bytes.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    count.filter(|_| output.status.success()).ok_or_else(|| format!("callgrind failed: {text}").into())
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
