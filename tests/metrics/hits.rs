//! Hits, in every way in which a token is served.

use std::convert::Infallible;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use gcp_iam_credentials::{Credentials, Token};
use http::{Request, Response};
use tokio::time::advance;
use tonic::service::Interceptor;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::recorder::Recorder;
use crate::support::runtime::{ms, one_paused_thread};

const HITS: &str = "cache_hits_total";
const WAITS: &str = "cache_waits_total";

fn that_expires() -> Credentials {
    Credentials::from_fn(|| async {
        Token::new("t", std::time::SystemTime::now() + Duration::from_secs(3600))
    })
}

/// Makes a fetch, at whose end all hits are reported. Returns them.
async fn report(recorder: &Recorder) -> f64 {
    that_expires().token().await.unwrap();
    recorder.value(HITS)
}

async fn reply(_: Request<()>) -> Result<Response<()>, Infallible> {
    Ok(Response::new(()))
}

/// conf: N2
#[test]
fn each_request_of_the_layer_and_the_interceptor_is_one_hit() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let credentials = that_expires();
        credentials.token().await.unwrap();
        let before = report(&recorder).await;
        let mut service = credentials.layer().layer(service_fn(reply));
        for _ in 0..7 {
            service.ready().await.unwrap().call(Request::new(())).await.unwrap();
            // From then on the wall clock is read again, on the slow path.
            advance(Duration::from_secs(2)).await;
        }
        assert_eq!(report(&recorder).await - before, 7.0);
        let mut interceptor = credentials.interceptor().await.unwrap();
        let before = report(&recorder).await;
        for _ in 0..5 {
            interceptor.call(tonic::Request::new(())).unwrap();
        }
        assert_eq!(report(&recorder).await - before, 5.0);
    });
}

/// An inner service that isn't ready at first.
#[derive(Clone)]
struct NotReady(u32);

impl Service<Request<()>> for NotReady {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.0 == 0 {
            return Poll::Ready(Ok(()));
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        std::future::ready(Ok(Response::new(())))
    }
}

/// conf: N2
#[test]
fn a_request_that_waits_for_the_token_and_then_for_the_service_is_one_wait() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let before = report(&recorder).await;
        let waits = recorder.value(WAITS);
        let mut service = that_expires().layer().layer(NotReady(3));
        service.call(Request::new(())).await.unwrap();
        assert_eq!(recorder.value(WAITS) - waits, 1.0);
        assert_eq!(report(&recorder).await - before, 0.0);
    });
}

/// conf: N2
#[test]
fn hits_are_reported_within_a_second_also_if_no_token_expires() {
    let recorder = Recorder::default();
    recorder.run(one_paused_thread(), async {
        let credentials = Credentials::fixed(Token::new("t", None).unwrap());
        credentials.token().await.unwrap();
        let before = report(&recorder).await;
        let mut made = 0.0;
        for _ in 0..100 {
            credentials.token().await.unwrap();
            made += 1.0;
            advance(ms(300)).await;
            let reported = recorder.value(HITS) - before;
            // Four fit into one second.
            assert!((made - 4.0..=made).contains(&reported), "{made} made, {reported} reported");
        }
    });
}

/// conf: N2
#[test]
fn the_hits_of_many_threads_are_exact_while_others_report_them() {
    let recorder = Recorder::default();
    const THREADS: usize = 70; // More than there are counters.
    const EACH: usize = 5_000;
    let credentials = Credentials::fixed(Token::new("t", None).unwrap());
    recorder.run(one_paused_thread(), async { credentials.token().await.unwrap() });
    let before = recorder.run(one_paused_thread(), report(&recorder));
    thread::scope(|scope| {
        let callers: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| (0..EACH).for_each(|_| assert!(credentials.cached().is_some()))))
            .collect();
        // Reports go on in this thread, and never go back.
        let mut last = before;
        while callers.iter().any(|caller| !caller.is_finished()) {
            let now = recorder.run(one_paused_thread(), report(&recorder));
            assert!(now >= last);
            last = now;
        }
    });
    let after = recorder.run(one_paused_thread(), report(&recorder));
    assert_eq!(after - before, (THREADS * EACH) as f64);
}
