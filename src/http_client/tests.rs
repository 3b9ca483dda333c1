//! Connections over sockets: to servers of both protocols, which close, stop and hang.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Method, Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;

fn get(url: &str) -> Request<Bytes> {
    Request::get(url).body(Bytes::new()).unwrap()
}

/// An HTTP/1.1 server that answers the requests of each connection with these replies, and closes it
/// after the last.
async fn http1_server(replies: &'static [&'static str]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&requests);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let received = Arc::clone(&received);
            received.lock().unwrap().push("connection".to_owned());
            tokio::spawn(async move {
                for reply in replies {
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = socket.read_u8().await else { return };
                        request.push(byte);
                    }
                    received.lock().unwrap().push(String::from_utf8(request).unwrap());
                    socket.write_all(reply.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (address, requests)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-some: value\r\n\r\nok";

fn direct() -> HttpClient {
    HttpClient::new(TlsOptions::default(), Proxies::none())
}

#[tokio::test]
async fn any_method_and_headers_are_sent_and_the_whole_reply_is_returned() {
    let (address, requests) = http1_server(&[OK]).await;
    let mut request = get(&format!("http://{address}/path?a=b"));
    *request.method_mut() = Method::PUT;
    request.headers_mut().insert("x-own", HeaderValue::from_static("1"));
    let reply = direct().send(request).await.unwrap();
    assert_eq!((reply.status, &*reply.body), (StatusCode::OK, &b"ok"[..]));
    assert_eq!(reply.headers["x-some"], "value");
    let request = requests.lock().unwrap()[1].to_ascii_lowercase();
    assert!(request.starts_with("put /path?a=b http/1.1\r\n"), "{request}");
    for header in
        [format!("host: {address}\r\n"), "x-own: 1\r\n".to_owned(), "user-agent: gcp-iam".to_owned()]
    {
        assert!(request.contains(&header), "{request}");
    }
}

#[tokio::test]
async fn a_connection_is_used_again_and_one_that_the_server_closed_is_replaced() {
    let (address, requests) = http1_server(&[OK, OK]).await;
    let client = direct();
    for _ in 0..5 {
        client.send(get(&format!("http://{address}/"))).await.unwrap();
    }
    let requests = requests.lock().unwrap();
    assert_eq!(requests.iter().filter(|entry| *entry == "connection").count(), 3, "{requests:?}");
    assert_eq!(requests.len(), 3 + 5);
}

/// conf: R14
#[tokio::test]
async fn a_reply_that_is_too_long_or_cut_off_is_an_error_without_its_content() {
    const LONG: &str = "HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n";
    let long: &'static str = Box::leak(format!("{LONG}{}", "hidden".repeat(40_000)).into_boxed_str());
    let (address, _) = http1_server(Box::leak(Box::new([long]))).await;
    let error = direct().send(get(&format!("http://{address}/"))).await.unwrap_err().error;
    assert!(error.to_string().contains("more than 131072 bytes"), "{error}");
    assert!(!error.is_transient() && !format!("{error:?}").contains("hidden"), "{error:?}");

    let (address, _) = http1_server(&["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhidden"]).await;
    let error = direct().send(get(&format!("http://{address}/"))).await.unwrap_err().error;
    assert!(error.to_string().contains("lost the reply from 127.0.0.1"), "{error}");
    assert!(error.is_transient() && !format!("{error:?}").contains("hidden"), "{error:?}");
}

#[cfg(all(feature = "emulator", feature = "_tls"))]
mod http2 {
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::duplex;

    use super::super::connection::{Opened, open};
    use super::super::connector::Established;
    use super::*;
    use crate::emulator::{Emulator, Fault};

    const PATH: &str = "/oauth2/v3/certs";

    /// Forwards connections to a server, until it is told to hold what they carry.
    struct Forwarder {
        address: SocketAddr,
        connections: Arc<AtomicUsize>,
        /// The connections up to this number carry nothing any more.
        held: watch::Sender<usize>,
        /// The connections up to this number are closed.
        cut: watch::Sender<usize>,
    }

    impl Forwarder {
        async fn start(server: SocketAddr) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let connections = Arc::new(AtomicUsize::new(0));
            let ((held, holding), (cut, cutting)) = (watch::channel(0), watch::channel(0));
            let count = Arc::clone(&connections);
            tokio::spawn(async move {
                loop {
                    let (near, _) = listener.accept().await.unwrap();
                    let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                    tokio::spawn(forward(near, server, number, holding.clone(), cutting.clone()));
                }
            });
            Self { address, connections, held, cut }
        }

        fn connections(&self) -> usize {
            self.connections.load(Ordering::SeqCst)
        }

        /// Lets the connections so far carry nothing any more, without closing them.
        fn hold(&self) {
            self.held.send_replace(self.connections());
        }

        /// Closes the connections so far.
        fn cut(&self) {
            self.cut.send_replace(self.connections());
        }
    }

    async fn forward(
        mut near: TcpStream,
        server: SocketAddr,
        number: usize,
        mut holding: watch::Receiver<usize>,
        mut cutting: watch::Receiver<usize>,
    ) {
        let mut far = TcpStream::connect(server).await.unwrap();
        let held = async { drop(holding.wait_for(|held| *held >= number).await) };
        let is_cut = async { drop(cutting.wait_for(|cut| *cut >= number).await) };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
            () = is_cut => return,
            () = held => {}
        }
        std::future::pending().await
    }

    struct Place {
        emulator: Emulator,
        forwarder: Forwarder,
        client: HttpClient,
        url: String,
    }

    async fn place() -> Place {
        let emulator = Emulator::builder().tls().start().await.unwrap();
        let forwarder = Forwarder::start(emulator.address()).await;
        let roots = Some(emulator.ca_pem().as_bytes().to_vec());
        let options = TlsOptions { root_certificates: roots, client_identity: None };
        let client = HttpClient::new(options, Proxies::none());
        let url = format!("https://localhost:{}{PATH}", forwarder.address.port());
        Place { emulator, forwarder, client, url }
    }

    async fn assert_replies(place: &Place, requests: usize) {
        let mut sent = JoinSet::new();
        for _ in 0..requests {
            let (client, request) = (place.client.clone(), get(&place.url));
            sent.spawn(async move { client.send(request).await.unwrap().status });
        }
        assert!(sent.join_all().await.iter().all(StatusCode::is_success));
    }

    #[tokio::test]
    async fn all_requests_at_the_same_time_share_one_connection() {
        let place = place().await;
        assert_replies(&place, 200).await;
        assert_replies(&place, 1).await;
        assert_eq!(place.forwarder.connections(), 1);
    }

    /// conf: M2
    #[tokio::test]
    async fn a_silent_connection_is_replaced_after_an_attempt_that_waited_for_it() {
        let place = place().await;
        assert_replies(&place, 3).await;
        place.forwarder.hold();
        // It is too short to say anything about the connection.
        let wait = |time| timeout(Duration::from_millis(time), place.client.send(get(&place.url)));
        assert!(wait(50).await.is_err());
        assert!(wait(1100).await.is_err());
        assert_eq!(place.forwarder.connections(), 1);
        // The old fault: every further attempt used the silent connection.
        timeout(Duration::from_secs(10), assert_replies(&place, 3)).await.unwrap();
        assert_eq!(place.forwarder.connections(), 2);
    }

    /// conf: M2
    #[tokio::test]
    async fn an_attempt_that_times_out_keeps_a_connection_that_brings_other_replies() {
        let place = place().await;
        assert_replies(&place, 1).await;
        place.emulator.faults().inject(Fault::hang().method(crate::emulator::Method::SignBlob));
        let url = place.url.replace(PATH, "/v1/projects/-/serviceAccounts/a@b.example:signBlob");
        let mut request = get(&url).map(|_| Bytes::from_static(br#"{"payload":""}"#));
        *request.method_mut() = Method::POST;
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
        let others = async {
            assert_replies(&place, 1).await;
            tokio::time::sleep(Duration::from_millis(1100)).await;
        };
        // The attempt begins before the other reply arrives, and is dropped long after it.
        tokio::select! {
            biased;
            _ = place.client.send(request) => panic!("the emulator answers"),
            () = others => {}
        }
        assert_replies(&place, 1).await;
        assert_eq!(place.forwarder.connections(), 1);
    }

    /// conf: M2
    #[tokio::test(start_paused = true)]
    async fn pings_notice_a_dead_connection_before_an_attempt_ends() {
        let ((near, mut relay_near), (far, mut relay_far)) = (duplex(64 << 10), duplex(64 << 10));
        let (hold, held) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(async move {
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut relay_near, &mut relay_far) => return,
                _ = held => {}
            }
            // Both ends stay open, and nothing arrives.
            std::future::pending().await
        });
        let service = hyper::service::service_fn(|_| async {
            Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        tokio::spawn(server.serve_connection(TokioIo::new(far), service));
        let established = Established { stream: Box::new(TokioIo::new(near)), is_http2: true };
        let opened = open(established, &Uri::from_static("https://host.test/")).await.unwrap();
        let Opened::Http2(connection) = opened else { panic!("HTTP/1.1") };
        assert!(connection.send(get("https://host.test/"), || {}).await.is_ok());

        hold.send(()).unwrap();
        let start = tokio::time::Instant::now();
        assert!(connection.send(get("https://host.test/"), || {}).await.is_err());
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert!(!connection.is_usable());
    }

    #[tokio::test]
    async fn connections_that_are_cut_at_any_time_lead_to_transient_errors_and_to_new_ones() {
        const CUTS: usize = 25;
        const REQUESTS: usize = 20;
        let place = place().await;
        let successes = Arc::new(AtomicUsize::new(0));
        let mut callers = JoinSet::new();
        for _ in 0..REQUESTS {
            let (client, url, successes) = (place.client.clone(), place.url.clone(), Arc::clone(&successes));
            callers.spawn(async move {
                for _ in 0..REQUESTS {
                    while let Err(SendError { error }) =
                        timeout(Duration::from_secs(10), client.send(get(&url))).await.unwrap()
                    {
                        assert!(error.is_transient(), "{error:?}");
                    }
                    successes.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut random = crate::random::Random::new(10);
        let mut cuts = 0;
        while cuts < CUTS && successes.load(Ordering::SeqCst) < REQUESTS * REQUESTS {
            let before = successes.load(Ordering::SeqCst);
            tokio::time::sleep(random.millis(0..10)).await;
            if successes.load(Ordering::SeqCst) > before {
                place.forwarder.cut();
                cuts += 1;
            }
        }
        callers.join_all().await;
        // However many callers there are, one connection is made at a time.
        let connections = place.forwarder.connections();
        assert!(cuts > 1 && connections <= cuts + 1, "{cuts} cuts, {connections} connections");
        // The last cut may not have been noticed yet.
        let _ = place.client.send(get(&place.url)).await;
        assert_replies(&place, 20).await;
    }

    #[test]
    fn each_runtime_has_its_own_connections_and_the_end_of_one_disturbs_no_other() {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (first, second) = (runtime(), runtime());
        let place = first.block_on(async {
            let place = place().await;
            assert_replies(&place, 2).await;
            place
        });
        // Nobody is in the first runtime now, so its tasks don't run: the forwarder has to be moved.
        let direct = place.emulator.address();
        let url = place.url.replace(&place.forwarder.address.port().to_string(), &direct.port().to_string());
        let before = place.emulator.connections();
        for runtime in [&first, &second, &first, &second] {
            runtime.block_on(async {
                let sent = timeout(Duration::from_secs(10), place.client.send(get(&url))).await;
                assert!(sent.unwrap().unwrap().status.is_success());
            });
        }
        assert_eq!(place.emulator.connections() - before, 2);
        drop(first);
        second.block_on(async { place.client.send(get(&url)).await.unwrap() });
    }

    /// conf: G9
    #[tokio::test]
    async fn a_new_client_identity_means_a_new_connection_and_a_wrong_one_changes_nothing() {
        let place = place().await;
        assert_replies(&place, 2).await;
        let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let wrong_key = other.signing_key.serialize_pem();
        let set = |key: String| {
            let (client, certificate) = (place.client.clone(), certificate.clone());
            async move { client.set_client_identity(certificate.as_bytes(), key.as_bytes()).await }
        };
        assert_eq!(set(wrong_key).await.unwrap_err().field(), Some("client_identity"));
        assert_replies(&place, 1).await;
        assert_eq!(place.forwarder.connections(), 1);
        set(key).await.unwrap();
        assert_replies(&place, 5).await;
        assert_eq!(place.forwarder.connections(), 2);
    }
}
