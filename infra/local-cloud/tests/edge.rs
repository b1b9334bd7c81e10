//! The HTTP API from request to response: routes, authorizers and their cache, limits, and the server on a real
//! loopback socket, fed raw bytes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use local_cloud::{
    Clock, FunctionError, Settings,
    edge::{Edge, Invoke, TrustedIdentity, serve},
    stack::Stack,
};
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

const TEMPLATE: &str = "
Globals: { Function: { Runtime: provided.al2023 } }
Resources:
  Guard: { Type: AWS::Serverless::Function, Properties: { Handler: guard } }
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Token
        Authorizers:
          Token:
            FunctionArn: !GetAtt Guard.Arn
            AuthorizerPayloadFormatVersion: '2.0'
            EnableSimpleResponses: true
            Identity: { Headers: [Authorization], ReauthorizeEvery: 60 }
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Handler: echo
      Events:
        One: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: GET, Path: '/things/{id}' } }
        Two: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: ANY, Path: /others } }
        Open: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: POST, Path: /open, Auth: { Authorizer: NONE } } }
";

type Calls = Arc<Mutex<Vec<(String, Value)>>>;

/// Echo answers its event; `slow` and `broken` bodies make it so. Guard decides by the token.
fn invoke(calls: &Calls) -> Invoke {
    let calls = Arc::clone(calls);
    let failed = |message: &str| Err(FunctionError { kind: "Error".into(), message: message.into() });
    Arc::new(move |function, event: Value| {
        calls.lock().unwrap().push((function.to_owned(), event.clone()));
        let function = function.to_owned();
        async move {
            match (function.as_str(), event["body"].as_str(), event["headers"]["authorization"].as_str()) {
                ("Guard", _, Some("Bearer no")) => Ok(json!({"isAuthorized": false})),
                ("Guard", _, Some("Bearer thrown")) => failed("Unauthorized"),
                ("Guard", _, Some("Bearer broken")) => failed("out of order"),
                ("Guard", _, Some("Bearer odd")) => Ok(json!({"isAuthorized": "yes"})),
                ("Guard", _, Some(token)) => Ok(json!({"isAuthorized": true, "context": {"token": token}})),
                ("Echo", Some("slow"), _) => {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    Ok(json!({}))
                }
                ("Echo", Some("broken"), _) => failed("out of order"),
                ("Echo", Some("panics"), _) => panic!("as a handler may"),
                ("Echo", Some("long"), _) => Ok(json!({"statusCode": 200, "body": "x".repeat(7 * 1024 * 1024)})),
                ("Echo", ..) => Ok(event),
                (other, ..) => panic!("nobody asked for {other}"),
            }
        }
        .boxed()
    })
}

fn edge(calls: &Calls, trusted: Option<TrustedIdentity>) -> Edge {
    let stack = Stack::from_template(TEMPLATE, &Settings::new("test")).unwrap();
    Edge::new(&stack, Clock::starting_at(1_583_348_638_390), 7, invoke(calls), trusted).unwrap()
}

fn peer() -> IpAddr {
    IpAddr::from(Ipv4Addr::LOCALHOST)
}

async fn get(edge: &Edge, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    read(edge.answer(request.body(Bytes::new()).unwrap(), peer()).await)
}

async fn post(edge: &Edge, body: Vec<u8>) -> (u16, Value) {
    let request = Request::post("/open").header("content-type", "text/plain").body(Bytes::from(body)).unwrap();
    read(edge.answer(request, peer()).await)
}

fn read(response: Response<Bytes>) -> (u16, Value) {
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["apigw-requestid"].len(), 16);
    (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
}

fn says(message: &str) -> Value {
    json!({ "message": message })
}

fn asked(calls: &Calls, function: &str) -> usize {
    calls.lock().unwrap().iter().filter(|(name, _)| name == function).count()
}

#[tokio::test(start_paused = true)]
async fn an_authorizer_is_asked_once_for_all_routes_until_its_answer_is_old() {
    let calls = Calls::default();
    let edge = edge(&calls, None);
    let token = [("Authorization", "Bearer a")];

    let (status, event) = get(&edge, "/things/5?x=1", &token).await;
    assert_eq!((status, &event["requestContext"]["authorizer"]), (200, &json!({"lambda": {"token": "Bearer a"}})));
    let (function, asked_with) = calls.lock().unwrap()[0].clone();
    assert_eq!(function, "Guard");
    assert_eq!((&asked_with["type"], &asked_with["version"]), (&json!("REQUEST"), &json!("2.0")));
    assert_eq!(asked_with["identitySource"], json!(["Bearer a"]));
    let arn = asked_with["routeArn"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:execute-api:eu-central-1:000000000000:"), "{arn}");
    assert!(arn.ends_with("/$default/GET/things/{id}"), "{arn}");
    assert_eq!(asked_with["pathParameters"], json!({"id": "5"}));
    assert_eq!((asked_with.get("body"), asked_with.get("isBase64Encoded")), (None, None));

    tokio::time::advance(Duration::from_millis(59_999)).await;
    assert_eq!(get(&edge, "/others", &token).await.0, 200);
    assert_eq!(asked(&calls, "Guard"), 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(get(&edge, "/others", &token).await.0, 200);
    assert_eq!(asked(&calls, "Guard"), 2);
    assert_eq!(get(&edge, "/others", &[("Authorization", "Bearer b")]).await.0, 200);
    assert_eq!(asked(&calls, "Guard"), 3);
}

#[tokio::test(start_paused = true)]
async fn what_an_authorizer_does_not_allow_never_reaches_the_function() {
    let calls = Calls::default();
    let edge = edge(&calls, None);
    for (token, status, message, asks) in [
        (None, 401, "Unauthorized", [0, 0]),
        (Some(""), 401, "Unauthorized", [0, 0]),
        (Some("Bearer no"), 403, "Forbidden", [1, 0]),
        (Some("Bearer thrown"), 401, "Unauthorized", [1, 1]),
        (Some("Bearer broken"), 500, "Internal Server Error", [1, 1]),
        (Some("Bearer odd"), 500, "Internal Server Error", [1, 1]),
    ] {
        let header = token.map(|token| ("authorization", token));
        for expected in asks {
            let before = asked(&calls, "Guard");
            assert_eq!(get(&edge, "/others", header.as_slice()).await, (status, says(message)), "{token:?}");
            assert_eq!(asked(&calls, "Guard") - before, expected, "{token:?}");
        }
    }
    assert_eq!(asked(&calls, "Echo"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_trusted_identity_stands_in_for_the_authorizer_but_a_bearer_token_wins() {
    let calls = Calls::default();
    let trusted: TrustedIdentity = Arc::new(|headers| {
        let name = headers.get("x-name")?.to_str().ok()?;
        Some(Map::from_iter([("name".to_owned(), json!(name))]))
    });
    let edge = edge(&calls, Some(trusted));
    let caller = |event: Value| event["requestContext"]["authorizer"]["lambda"].clone();

    let (_, event) = get(&edge, "/others", &[("x-name", "ann")]).await;
    assert_eq!(caller(event), json!({"name": "ann"}));
    let (_, event) = get(&edge, "/others", &[("x-name", "ann"), ("authorization", "Basic eA==")]).await;
    assert_eq!((caller(event), asked(&calls, "Guard")), (json!({"name": "ann"}), 0));
    let (_, event) = get(&edge, "/others", &[("x-name", "ann"), ("authorization", "bearer b")]).await;
    assert_eq!((caller(event), asked(&calls, "Guard")), (json!({"token": "bearer b"}), 1));
    assert_eq!(get(&edge, "/others", &[]).await, (401, says("Unauthorized")));
    let (_, event) = post(&edge, b"x".to_vec()).await;
    assert_eq!(event["requestContext"].get("authorizer"), None);
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_answered_as_api_gateway_does() {
    let calls = Calls::default();
    let edge = edge(&calls, None);
    assert_eq!(get(&edge, "/nowhere", &[]).await, (404, says("Not Found")));
    assert_eq!(get(&edge, "/open", &[]).await, (404, says("Not Found")));
    assert_eq!(post(&edge, b"broken".to_vec()).await, (500, says("Internal Server Error")));
    assert_eq!(post(&edge, b"panics".to_vec()).await, (500, says("Internal Server Error")));
    assert_eq!(post(&edge, b"long".to_vec()).await, (500, says("Internal Server Error")));
    assert_eq!(post(&edge, b"slow".to_vec()).await, (503, says("Service Unavailable")));
    let asked_before = asked(&calls, "Echo");
    assert_eq!(post(&edge, vec![b'x'; 10 * 1024 * 1024 + 1]).await, (413, says("Request Too Long")));
    assert_eq!(post(&edge, vec![b'x'; 6 * 1024 * 1024]).await, (413, says("Request Too Long")));
    let long = "x".repeat(10_240);
    assert_eq!(get(&edge, "/others", &[("x-long", &long)]).await, (431, says("Request Header Fields Too Large")));
    assert_eq!(asked(&calls, "Echo"), asked_before);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_ids() {
    let ids = async || {
        let edge = edge(&Calls::default(), None);
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(post(&edge, b"x".to_vec()).await.1["requestContext"]["requestId"].clone());
        }
        ids
    };
    let first = ids().await;
    assert_eq!(first, ids().await);
    assert_ne!(first[0], first[1]);
}

#[test]
fn a_stack_without_an_api_has_no_edge() {
    let stack = Stack::from_template("Resources: {}", &Settings::new("test")).unwrap();
    assert!(Edge::new(&stack, Clock::wall(), 1, invoke(&Calls::default()), None).is_none());
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn server(calls: &Calls) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async { stopped.await.unwrap_or_default() };
    Server { address, stop, task: tokio::spawn(serve(edge(calls, None), listener, stopped)) }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends these bytes and reads until the server closes.
    async fn last_words(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        let mut read = Vec::new();
        stream.read_to_end(&mut read).await.unwrap();
        String::from_utf8(read).unwrap()
    }
}

/// Reads one response: its head, and as much of a body as the head announces.
async fn response(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    (head, body)
}

#[tokio::test]
async fn a_connection_is_kept_alive_and_bodies_come_whole_or_in_chunks() {
    let server = server(&Calls::default()).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"POST /open HTTP/1.1\r\nHost: a:81\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
        .await
        .unwrap();
    let (head, body) = response(&mut stream).await;
    assert!(head.starts_with("http/1.1 200 ok"), "{head}");
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&event["body"], &event["headers"]["x-forwarded-port"]), (&json!("hello"), &json!("81")));
    assert_eq!(event["requestContext"]["http"]["sourceIp"], json!("127.0.0.1"));

    stream
        .write_all(b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n")
        .await
        .unwrap();
    stream.write_all(b"2\r\nlo\r\n0\r\n\r\n").await.unwrap();
    let (_, body) = response(&mut stream).await;
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["body"], json!("hello"));
}

#[tokio::test]
async fn malformed_requests_are_refused_and_the_server_lives_on() {
    let server = server(&Calls::default()).await;
    for (bytes, expected) in [
        (b"nonsense\r\n\r\n".as_slice(), "HTTP/1.1 400"),
        (b"GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTP/1.1 400"),
        (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400"),
        (b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400"),
        (b"POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 400"),
        (b"GET /others HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"),
        (b"GET /others HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"),
        (b"GET http://other/%zz%ff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"),
        (
            b"GET /things/%ff?%ff=%&&= HTTP/1.1\r\nHost: a\r\nAuthorization: \xff\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 200",
        ),
    ] {
        let answer = server.last_words(bytes).await;
        assert!(answer.starts_with(expected), "{} was answered {answer:?}", String::from_utf8_lossy(bytes));
    }
    let many = (0..200).fold("GET / HTTP/1.1\r\n".to_owned(), |head, number| head + &format!("x{number}: y\r\n"));
    assert!(server.last_words((many + "\r\n").as_bytes()).await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_without_being_kept() {
    let calls = Calls::default();
    let server = server(&calls).await;
    let over = 10 * 1024 * 1024 + 1;

    let head = format!("POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: {over}\r\n\r\n");
    let mut announced = head.into_bytes();
    announced.resize(announced.len() + over, b'x');
    let mut chunked = b"POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..11 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.resize(chunked.len() + 0x10_0000, b'x');
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let patient = format!("POST /open HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {over}\r\n\r\n");
    let endless = "POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551613\r\n\r\n".to_owned();
    for bytes in [announced, chunked, patient.into_bytes(), endless.into_bytes()] {
        let answer = server.last_words(&bytes).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(
            answer.ends_with(r#"{"message":"Request Too Long"}"#) && answer.contains("connection: close"),
            "{answer}"
        );
    }
    assert_eq!(asked(&calls, "Echo"), 0);
}

#[tokio::test]
async fn a_stopped_server_finishes_and_closes() {
    let server = server(&Calls::default()).await;
    let mut idle = server.connect().await;
    idle.write_all(b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    response(&mut idle).await;
    server.stop.send(()).unwrap();
    server.task.await.unwrap();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn slow_senders_are_cut_off() {
    let server = server(&Calls::default()).await;
    let answer = server.last_words(b"POST /open HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    let answer = server.last_words(b"POST /open HTT").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}
