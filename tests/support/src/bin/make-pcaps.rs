//! Makes the committed samples, or checks that they are what their recipes make.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use mailsnare_lab::mail::sha256;
use mailsnare_lab::samples;

/// Make the sample captures under pcaps/, with the sender's record beside each.
#[derive(Parser)]
struct Args {
    /// Change nothing; fail when a committed file differs from what its recipe makes.
    #[arg(long)]
    check: bool,
    /// Only the sample of this name.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Where the samples are.
    #[arg(long, value_name = "DIR", default_value_os_t = default_out())]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("make-pcaps: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), String> {
    let wanted = |name: &str| args.only.as_deref().is_none_or(|only| only == name);
    let recipes: Vec<_> = samples::ALL.iter().filter(|recipe| wanted(recipe.name)).collect();
    if recipes.is_empty() {
        let names: Vec<_> = samples::ALL.iter().map(|recipe| recipe.name).collect();
        return Err(format!("no such sample; there are {}", names.join(", ")));
    }
    println!("| sample | seed | packets | bytes | SHA-256 of trace.pcap |\n| --- | --- | --- | --- | --- |");
    for recipe in recipes {
        let sample = recipe.make();
        let trace = sample.trace(recipe.nanoseconds);
        let folder = args.out.join(recipe.name);
        for (name, content) in [("trace.pcap", trace.as_slice()), ("truth.json", sample.truth_json().as_bytes())] {
            let path = folder.join(name);
            if args.check { check(&path, content)? } else { write(&path, content)? }
        }
        let (packets, bytes) = (sample.packets.len(), trace.len());
        println!("| `{}` | {} | {packets} | {bytes} | `{}` |", recipe.name, recipe.seed, sha256(&trace));
    }
    Ok(())
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).and_then(|()| fs::write(path, content)).map_err(|e| format!("{}: {e}", path.display()))
}

fn check(path: &Path, content: &[u8]) -> Result<(), String> {
    let committed = fs::read(path).map_err(|e| format!("{}: {e}; run make-pcaps without --check", path.display()))?;
    if committed == content {
        return Ok(());
    }
    let at = committed.iter().zip(content).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{}: differs from its recipe at byte {at} ({} bytes committed, {} made); run make-pcaps and look at the change",
        path.display(),
        committed.len(),
        content.len()
    ))
}

fn default_out() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pcaps")
}
