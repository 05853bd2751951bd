//! The dialect hash, computed anew by Python from what `rules/README.md` says of it: others must come to the same.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

#[test]
fn others_compute_the_same_hash_from_the_page_that_explains_it() {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut hashes = 0;
    for sample in ["mimail-c-outbreak", "office-day", "arrival"] {
        let folder = format!("{root}/pcaps/{sample}");
        let script = format!("{root}/tests/oracle/dialect.py");
        let made = match Command::new("python3").args([&script, &format!("{root}/rules/README.md"), &folder]).output() {
            Ok(made) => made,
            Err(error) if std::env::var_os("CI").is_none() => {
                return eprintln!("skipped: python3 cannot be run: {error}");
            }
            Err(error) => panic!("python3 cannot be run: {error}"),
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let theirs = lines(&made.stdout);
        let theirs: BTreeMap<String, String> =
            theirs.iter().map(|line| (line["at"].to_string(), line["hash"].as_str().unwrap().to_owned())).collect();

        let output = Command::new(env!("CARGO_BIN_EXE_mailsnare"))
            .args(["replay", &format!("{folder}/trace.pcap"), "--eve", "-", "--events", "smtp"])
            .output()
            .unwrap();
        let ours: BTreeMap<String, String> = lines(&output.stdout).iter().filter_map(hash).collect();
        for (at, hash) in &theirs {
            assert_eq!(ours.get(at), Some(hash), "{sample}: {at}");
        }
        hashes += theirs.len();
    }
    assert!(hashes > 400, "{hashes}");
}

/// Where a message was sent, as the script has it, and the hash.
fn hash(line: &Value) -> Option<(String, String)> {
    let hash = line["smtp"]["dialect_hash"].as_str()?;
    let ip = |name: &str| line[name].as_str().unwrap().to_owned();
    let number = |name: &str| line[name].to_string();
    let at = [ip("src_ip"), number("src_port"), ip("dest_ip"), number("dest_port"), number("tx_id")];
    Some((serde_json::to_value(at).unwrap().to_string(), hash.to_owned()))
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
