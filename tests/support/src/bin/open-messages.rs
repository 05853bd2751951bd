//! The floor for opening mail: mail-parser, zip and the same hashes as the sensor's, over messages without a network. Its
//! input is what `make-traffic --kind messages` writes.

use std::io::{Cursor, Read};
use std::process::ExitCode;

use mail_parser::{MessageParser, MimeHeaders};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use zip::ZipArchive;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: open-messages FILE");
        return ExitCode::from(2);
    };
    match std::fs::read(&path) {
        Ok(messages) => {
            let (count, files) = open_all(&messages);
            println!("{count} messages, {files} files");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("open-messages: {path}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn open_all(mut rest: &[u8]) -> (u64, u64) {
    let (mut count, mut files) = (0, 0);
    while let Some((length, behind)) = rest.split_first_chunk() {
        let Some((message, behind)) = behind.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
        count += 1;
        files += open(message);
        rest = behind;
    }
    (count, files)
}

/// How many files are in a message, each of them hashed.
fn open(message: &[u8]) -> u64 {
    let Some(parsed) = MessageParser::default().parse(message) else { return 0 };
    std::hint::black_box(Md5::digest(&message[parsed.root_part().offset_body as usize..]));
    let mut files = 0;
    for attachment in parsed.attachments().filter(|part| part.attachment_name().is_some()) {
        let content = attachment.contents();
        files += hash(content);
        let Ok(mut archive) = ZipArchive::new(Cursor::new(content)) else { continue };
        for index in 0..archive.len() {
            let mut unpacked = Vec::new();
            if archive.by_index(index).is_ok_and(|mut member| member.read_to_end(&mut unpacked).is_ok()) {
                files += hash(&unpacked);
            }
        }
    }
    files
}

fn hash(content: &[u8]) -> u64 {
    std::hint::black_box((Md5::digest(content), Sha1::digest(content), Sha256::digest(content)));
    1
}
