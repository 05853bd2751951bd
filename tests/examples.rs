//! The sample configurations under `docs/examples` and the one that the package installs say only what exists.

use std::fs;

use assert_cmd::Command;

#[test]
fn every_sample_configuration_is_read_without_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let mut samples: Vec<_> = fs::read_dir("docs/examples").unwrap().map(|entry| entry.unwrap().path()).collect();
    samples.push("debian/mailsnare.toml".into());
    assert!(samples.len() > 3);
    for sample in samples {
        // Where it would write is elsewhere: a test touches nothing of the system.
        let output = Command::cargo_bin("mailsnare")
            .unwrap()
            .args(["replay", "--format", "json", "--metrics", "off", "--config"])
            .arg(&sample)
            .arg("--eve")
            .arg(folder.path().join("eve.json"))
            .arg("--evidence")
            .arg(folder.path().join("evidence"))
            .arg("pcaps/arrival")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", sample.display());
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["alerts"][0]["rule"], "mimail-c", "{}: {summary}", sample.display());
        // What stands there as a comment, to be taken up, exists too.
        let text = fs::read_to_string(&sample).unwrap();
        for line in text.lines().filter_map(|line| line.strip_prefix("# ")) {
            let is_setting = line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
            if is_setting {
                let tried = folder.path().join("tried.toml");
                fs::write(&tried, line).unwrap();
                let checked = Command::cargo_bin("mailsnare")
                    .unwrap()
                    .args(["replay", "--eve", "/dev/null", "--extract"])
                    .arg(folder.path())
                    .arg("--config")
                    .arg(&tried)
                    .arg("pcaps/arrival")
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&checked.stderr);
                assert!(!said.contains("unknown"), "{}: {line}: {said}", sample.display());
            }
        }
    }
}
