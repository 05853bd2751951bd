mod compare;
#[test]
fn proto() {
    let dir = std::path::PathBuf::from(std::env::var("LIVING").unwrap());
    let stored = std::fs::read_to_string(dir.join("stored.jsonl")).unwrap();
    let truth = compare::Truth::read(&dir, &stored);
    let eve = compare::lines(&std::fs::read_to_string(dir.join("eve.json")).unwrap());
    let v = truth.compare(&eve, "10.78.0.1");
    for d in &v.differences {
        println!("{}", d.chars().take(600).collect::<String>());
    }
    println!(
        "{} messages {} relayed {} stored {} tls {:?} bdat {} files {} refused; {} differences",
        v.messages,
        v.relayed,
        v.stored,
        v.tls,
        v.bdat,
        v.files,
        v.refused,
        v.differences.len()
    );
}
