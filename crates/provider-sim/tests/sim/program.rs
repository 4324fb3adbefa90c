//! The program: first line, ports, log lines, end.

use crate::client::agent;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn start(arguments: &[&str]) -> (Child, BufReader<std::process::ChildStdout>, Value) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_provider-sim"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let ports = serde_json::from_str(&line).unwrap();
    (child, out, ports)
}

fn stops(mut child: Child) -> bool {
    drop(child.stdin.take());
    for _ in 0..1_000 {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    false
}

#[test]
fn it_tells_its_ports_logs_calls_and_ends_with_stdin() {
    let (child, mut out, ports) =
        start(&["--seed", "3", "--clock", "virtual", "--pending-ms", "10"]);
    let names: Vec<_> = ports.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["port", "image_port", "alt_port"]);
    let base = format!("http://127.0.0.1:{}", ports["port"]);
    let health = agent(5_000)
        .get(format!("{base}/_sim/health"))
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    assert!(health.contains("\"clock\":\"virtual\""));
    agent(5_000)
        .get(format!("{base}/ideogram/v2/generations/x"))
        .call()
        .unwrap();
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let entry: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (entry["path"].as_str(), entry["status"].as_u64()),
        (Some("/v2/generations/x"), Some(401))
    );
    assert!(stops(child));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(rest.is_empty());
}

#[test]
fn it_comes_back_on_the_same_ports() {
    let (child, _out, ports) = start(&[]);
    let numbers = ["port", "image_port", "alt_port"].map(|name| ports[name].to_string());
    assert!(stops(child));
    let arguments = [
        "--port",
        &numbers[0],
        "--image-port",
        &numbers[1],
        "--alt-port",
        &numbers[2],
    ];
    let (child, _out, again) = start(&arguments);
    assert_eq!(again, ports);
    assert!(stops(child));
}

#[test]
fn a_taken_port_is_an_error_and_not_another_port() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_provider-sim"))
        .args(["--port", &port])
        .output()
        .unwrap();
    assert!(!output.status.success());
}
