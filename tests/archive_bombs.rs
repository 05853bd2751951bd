//! Archives made to cost more than they are worth end at a bound, say so, and end soon.

use std::process::Command;
use std::time::{Duration, Instant};

use mailsnare::mail::inspect;
use mailsnare::model::event::Message;
use mailsnare::model::settings::InspectSettings;
use serde_json::Value;

/// For one message, without optimisation and on a busy machine; with it, a tenth.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn bombs_end_at_a_bound_and_soon() {
    let made = match Command::new("python3").arg("-c").arg(include_str!("oracle/bombs.py")).output() {
        Ok(made) => made,
        Err(error) => return eprintln!("skipped: python3 cannot be run: {error}"),
    };
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for case in String::from_utf8(made.stdout).unwrap().lines().map(|line| serde_json::from_str::<Value>(line).unwrap())
    {
        let name = case["case"].as_str().unwrap();
        if let Some(why) = case["skipped"].as_str() {
            eprintln!("skipped {name}: {why}");
            continue;
        }
        let head = "Subject: x\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=a.dat\r\n\r\n";
        let bytes = [head, case["data"].as_str().unwrap()].concat().into_bytes();
        let message = Message { size: bytes.len() as u64, bytes, ..Message::default() };
        let started = Instant::now();
        let found = inspect(&message, &InspectSettings::default());
        let took = started.elapsed();
        eprintln!("{name}: {} bytes, {took:?}", message.size);
        assert!(took < PATIENCE, "{name} took {took:?}");
        let told = found.anomalies.iter().map(|anomaly| anomaly.name).collect::<Vec<_>>();
        match case["told"].as_str() {
            Some(wanted) => assert!(told.contains(&wanted), "{name}: {told:?}"),
            None => assert!(found.files[1..].iter().all(|file| file.truncated), "{name}: {:?}", found.files),
        }
    }
}
