//! A small HTTP server for `/metrics`, `/healthz` and `/readyz`: one GET a connection, then it is closed.
//!
//! Read first: RFC 9110 (semantics) and RFC 9112 (HTTP/1.1 on the wire). It is written by hand because the work is one
//! request line, and because what matters here is what a slow or hostile client cannot do: it cannot hold the thread
//! (no call blocks), nor memory (the request is bounded, and so are connections), nor a place (each connection has one
//! deadline for everything, and when all places are taken the oldest goes).

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::model::limits::{HTTP_CONNECTIONS, HTTP_HEAD, HTTP_PATIENCE};

/// What the server tells.
pub trait Endpoints {
    /// The body of `/metrics`, in Prometheus' text format.
    fn metrics(&self) -> Vec<u8>;

    /// `/healthz`: whether the process works, or a sentence why not.
    fn health(&self) -> Result<(), String>;

    /// `/readyz`: whether packets are being read, or a sentence why not.
    fn ready(&self) -> Result<(), String>;
}

/// Serves until `stop` is set, in the caller's thread.
///
/// # Errors
/// When the listener cannot be made non-blocking. Trouble with a connection ends that connection.
pub fn serve(listener: &TcpListener, stop: &AtomicBool, endpoints: &dyn Endpoints) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut connections = Vec::new();
    let mut refusing = false;
    while !stop.load(Ordering::Relaxed) {
        let (mut moved, refused) = accept(listener, &mut connections);
        if let Some(error) = &refused
            && !refusing
        {
            tracing::warn!("metrics are not served for now: {error}; is the limit on open files too low?");
        }
        // While there are none, nobody was refused, nor taken in.
        refusing = refused.is_some() || refusing && !moved;
        let now = Instant::now();
        connections.retain_mut(|connection| {
            let step = connection.step(now, endpoints);
            moved |= matches!(step, Step::Moved);
            !matches!(step, Step::Done)
        });
        if !moved {
            std::thread::sleep(if connections.is_empty() { IDLE_NAP } else { BUSY_NAP });
        }
    }
    Ok(())
}

/// Takes in who is waiting: whether anyone was, and why one who is cannot be.
fn accept(listener: &TcpListener, connections: &mut Vec<Connection>) -> (bool, Option<io::Error>) {
    let mut any = false;
    // No more than there are places, so that a flood of connections cannot keep those already here from being served.
    for _ in 0..HTTP_CONNECTIONS {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if PASSING.contains(&error.kind()) => break,
            // Out of descriptors and the like pass, too; there is nothing to do but to try again later.
            Err(error) => return (any, Some(error)),
        };
        any = true;
        if stream.set_nonblocking(true).is_err() {
            continue;
        }
        if connections.len() >= HTTP_CONNECTIONS {
            connections.remove(0);
        }
        connections.push(Connection::new(stream));
    }
    (any, None)
}

/// Nobody waits, or whoever did has gone.
const PASSING: [io::ErrorKind; 3] =
    [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted, io::ErrorKind::ConnectionAborted];

/// A connection, oldest first in their list.
struct Connection {
    stream: TcpStream,
    deadline: Instant,
    phase: Phase,
}

enum Phase {
    /// The request's line and headers, as far as they have come.
    Reading(Vec<u8>),
    /// The response, and how much of it is out.
    Writing(Vec<u8>, usize),
    /// All is said. What the client still sends is read and dropped: closing now would reset the connection, and the
    /// client could lose the response it has not read yet (RFC 9112, section 9.6).
    Closing,
}

enum Step {
    Moved,
    Waits,
    Done,
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, deadline: Instant::now() + HTTP_PATIENCE, phase: Phase::Reading(Vec::new()) }
    }

    fn step(&mut self, now: Instant, endpoints: &dyn Endpoints) -> Step {
        if now >= self.deadline {
            return Step::Done;
        }
        match self.advance(endpoints) {
            Ok(step) => step,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Waits,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Step::Moved,
            Err(_) => Step::Done,
        }
    }

    fn advance(&mut self, endpoints: &dyn Endpoints) -> io::Result<Step> {
        let mut chunk = [0; 2_048];
        match &mut self.phase {
            Phase::Reading(head) => {
                let count = self.stream.read(&mut chunk)?;
                if count == 0 {
                    return Ok(Step::Done);
                }
                head.extend_from_slice(chunk.get(..count).unwrap_or_default());
                if let Some(response) = respond(head, endpoints) {
                    self.phase = Phase::Writing(response, 0);
                }
            }
            Phase::Writing(response, sent) => {
                *sent += self.stream.write(response.get(*sent..).unwrap_or_default())?;
                if *sent >= response.len() {
                    self.stream.shutdown(Shutdown::Write)?;
                    self.phase = Phase::Closing;
                }
            }
            Phase::Closing => {
                if self.stream.read(&mut chunk)? == 0 {
                    return Ok(Step::Done);
                }
            }
        }
        Ok(Step::Moved)
    }
}

/// The response to a request, or none while its head is not complete.
fn respond(head: &[u8], endpoints: &dyn Endpoints) -> Option<Vec<u8>> {
    let Some(end) = head_end(head) else {
        let text = "The request's headers are too long.\n";
        return (head.len() > HTTP_HEAD).then(|| response(Status::HeadersTooLarge, TEXT, text.as_bytes(), true));
    };
    let line = head.get(..end).and_then(|head| head.split(|&byte| byte == b'\n').next()).unwrap_or_default();
    let Some((method, target)) = request_line(line) else {
        return Some(response(Status::BadRequest, TEXT, b"This is no HTTP/1.1 request.\n", true));
    };
    // RFC 9110, section 9.1 asks for HEAD beside GET, section 15.5.6 for 405 with a list for a method known elsewhere.
    if !matches!(method, "GET" | "HEAD") {
        return Some(response(Status::NotAllowed, TEXT, b"Only GET and HEAD are served here.\n", true));
    }
    let (status, kind, body) = route(target, endpoints);
    Some(response(status, kind, &body, method == "GET"))
}

fn route(target: &str, endpoints: &dyn Endpoints) -> (Status, &'static str, Vec<u8>) {
    let check = |result: Result<(), String>| match result {
        Ok(()) => (Status::Ok, TEXT, b"ok\n".to_vec()),
        Err(why) => (Status::Unavailable, TEXT, format!("{why}\n").into_bytes()),
    };
    match target.split('?').next().unwrap_or_default() {
        "/metrics" => (Status::Ok, METRICS, endpoints.metrics()),
        "/healthz" => check(endpoints.health()),
        "/readyz" => check(endpoints.ready()),
        _ => (Status::NotFound, TEXT, b"There are /metrics, /healthz and /readyz.\n".to_vec()),
    }
}

/// Where the empty line after the headers ends. A bare line feed counts (RFC 9112, section 2.2 allows it).
fn head_end(head: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', head).find_map(|at| match head.get(at + 1..)? {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// Method and target of `METHOD SP TARGET SP HTTP/1.x` (RFC 9112, section 3).
fn request_line(line: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(line).ok()?.trim_end_matches('\r');
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let sound = words.next().is_none() && version.starts_with("HTTP/1.") && !method.is_empty();
    sound.then_some((method, target))
}

#[derive(Clone, Copy)]
enum Status {
    Ok,
    BadRequest,
    NotFound,
    NotAllowed,
    HeadersTooLarge,
    Unavailable,
}

impl Status {
    const fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::NotAllowed => "405 Method Not Allowed\r\nAllow: GET, HEAD",
            Self::HeadersTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

fn response(status: Status, content_type: &str, body: &[u8], with_body: bool) -> Vec<u8> {
    let mut response = format!(
        "HTTP/1.1 {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n",
        status.line(),
        body.len()
    )
    .into_bytes();
    if with_body {
        response.extend_from_slice(body);
    }
    response
}

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Between looks at the listener when nobody is connected: a scrape may wait this long.
const IDLE_NAP: Duration = Duration::from_millis(50);
/// Between looks at open connections.
const BUSY_NAP: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn metrics_and_checks_are_served() {
        with_server(|at| {
            let metrics = ask(at, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(
                metrics,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: 5\r\n\
                 Cache-Control: no-store\r\nConnection: close\r\n\r\nup 1\n"
            );
            assert!(ask(at, b"GET /healthz?verbose HTTP/1.0\n\n").ends_with("\r\n\r\nok\n"));
            let ready = ask(at, b"GET /readyz HTTP/1.1\r\n\r\n");
            assert!(ready.starts_with("HTTP/1.1 503 ") && ready.ends_with("\r\n\r\nno packet yet\n"), "{ready}");
            let head = ask(at, b"HEAD /metrics HTTP/1.1\r\n\r\n");
            assert!(head.contains("Content-Length: 5\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        });
    }

    #[test]
    fn other_paths_methods_and_nonsense_get_their_codes() {
        with_server(|at| {
            for (request, status) in [
                ("GET / HTTP/1.1\r\n\r\n", "404"),
                ("GET /metrics/.. HTTP/1.1\r\n\r\n", "404"),
                ("POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", "405"),
                ("DELETE / HTTP/1.1\r\n\r\n", "405"),
                ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
                ("GET  /metrics HTTP/1.1\r\n\r\n", "400"),
                ("\r\n\r\n", "400"),
                ("\u{16}\u{3}\u{1}\n\n", "400"),
            ] {
                let answer = ask(at, request.as_bytes());
                assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
                assert_eq!(answer.contains("Allow: GET, HEAD\r\n"), status == "405");
            }
        });
    }

    #[test]
    fn a_huge_head_is_refused_and_the_answer_arrives() {
        with_server(|at| {
            let request = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(1 << 20));
            let mut stream = connect(at);
            // The server may close before all is sent.
            let _ = stream.write_all(request.as_bytes());
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"HTTP/1.1 431");
        });
    }

    #[test]
    fn of_pipelined_requests_the_first_is_answered() {
        with_server(|at| {
            let answer = ask(at, b"GET /healthz HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1);
            assert!(answer.ends_with("ok\n"));
        });
    }

    #[test]
    fn a_request_may_come_a_byte_at_a_time() {
        with_server(|at| {
            let mut stream = connect(at);
            stream.set_nodelay(true).unwrap();
            for byte in b"GET /metrics HTTP/1.1\r\n\r\n" {
                stream.write_all(&[*byte]).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.ends_with("up 1\n"), "{answer}");
        });
    }

    #[test]
    fn clients_that_say_nothing_keep_nobody_out() {
        with_server(|at| {
            let idle: Vec<_> = (0..4 * HTTP_CONNECTIONS).map(|_| connect(at)).collect();
            let before = Instant::now();
            assert!(ask(at, b"GET /metrics HTTP/1.1\r\n\r\n").ends_with("up 1\n"));
            assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
            drop(idle);
        });
    }

    #[test]
    fn a_client_that_stalls_is_put_out_at_its_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = connect(listener.local_addr().unwrap());
        let mut connection = Connection::new(listener.accept().unwrap().0);
        connection.stream.set_nonblocking(true).unwrap();
        let start = Instant::now();
        assert!(matches!(connection.step(start, &Fake), Step::Waits));
        assert!(matches!(connection.step(start + HTTP_PATIENCE + Duration::from_secs(1), &Fake), Step::Done));
        drop(client);
    }

    #[test]
    fn a_client_that_does_not_read_holds_only_its_response() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = connect(listener.local_addr().unwrap());
        client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        let mut connection = Connection::new(listener.accept().unwrap().0);
        connection.stream.set_nonblocking(true).unwrap();
        connection.phase = Phase::Writing(vec![b'x'; 64 << 20], 0);
        let stalled = (0..10_000).any(|_| matches!(connection.step(Instant::now(), &Fake), Step::Waits));
        assert!(stalled, "a write that cannot go on waits and does not block");
    }

    struct Fake;

    impl Endpoints for Fake {
        fn metrics(&self) -> Vec<u8> {
            b"up 1\n".to_vec()
        }
        fn health(&self) -> Result<(), String> {
            Ok(())
        }
        fn ready(&self) -> Result<(), String> {
            Err("no packet yet".into())
        }
    }

    fn with_server(test: impl FnOnce(SocketAddr)) {
        /// Stops the server also when the test fails, so that the scope's end is reached.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| serve(&listener, &stop, &Fake).unwrap());
            let _stop = Stop(&stop);
            test(at);
        });
    }

    fn connect(at: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn ask(at: SocketAddr, request: &[u8]) -> String {
        let mut stream = connect(at);
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}
