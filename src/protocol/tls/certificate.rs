//! The names in a certificate (RFC 5280).

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use sha1::{Digest, Sha1};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Any, Decode, Tag, TagNumber, Tagged};
use x509_cert::name::Name;

use super::name as bounded;
use crate::model::event::TlsFacts;
use crate::model::limits;

/// Reads one certificate; of one that cannot be read, only the fingerprint is known.
pub(super) fn read(der: &[u8], facts: &mut TlsFacts) {
    facts.fingerprint = Some(Sha1::digest(der).into());
    // No profile: a serial number that is too long is no reason not to know the names.
    let Ok(certificate) = CertificateInner::<Raw>::from_der(der) else { return };
    let content = certificate.tbs_certificate();
    facts.subject = Some(distinguished_name(content.subject()));
    facts.issuer = Some(distinguished_name(content.issuer()));
    let extensions = content.extensions().map(Vec::as_slice).unwrap_or_default();
    if let Some(names) = extensions.iter().find(|extension| extension.extn_id == SUBJECT_ALT_NAME) {
        // Each by itself: a kind of name that is not understood does not hide the others.
        let names = Vec::<Any>::from_der(names.extn_value.as_bytes()).unwrap_or_default();
        facts.alt_names = names.iter().filter_map(alternative).take(limits::TLS_NAMES).collect();
    }
}

/// A name as Suricata writes it: `C=US, O=Example, CN=mx.example`, in the order of the certificate.
fn distinguished_name(name: &Name) -> String {
    let mut text = String::new();
    for part in name.iter_rdn() {
        for (index, attribute) in part.iter().enumerate() {
            if text.len() >= limits::TLS_NAME {
                return bounded(text.as_bytes());
            }
            let separator = if index > 0 { " + " } else { ", " };
            text.push_str(if text.is_empty() { "" } else { separator });
            match SHORT_NAMES.iter().find(|(oid, _)| *oid == attribute.oid) {
                Some((_, short)) => text.push_str(short),
                None => text.push_str(&attribute.oid.to_string()),
            }
            text.push('=');
            text.push_str(&value(&attribute.value));
        }
    }
    bounded(text.as_bytes())
}

/// The text of an attribute, by its string type; of any other type, its bytes in hexadecimal.
fn value(any: &Any) -> String {
    let bytes = any.value();
    match any.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            bounded(bytes)
        }
        // In practice Latin-1, whatever T.61 says.
        Tag::TeletexString => bytes.iter().take(limits::TLS_NAME).map(|&byte| char::from(byte)).collect(),
        Tag::BmpString => {
            let units = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units.take(limits::TLS_NAME)).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => bytes.iter().take(limits::TLS_NAME / 2).fold(String::from("#"), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    }
}

/// A mailbox, DNS name, URI or address (RFC 5280, section 4.2.1.6); other kinds are passed over.
fn alternative(name: &Any) -> Option<String> {
    let Tag::ContextSpecific { number, .. } = name.tag() else { return None };
    let bytes = name.value();
    match number {
        TagNumber(1 | 2 | 6) => Some(bounded(bytes)),
        TagNumber(7) => match *bytes {
            [a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d).to_string()),
            _ => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        },
        _ => None,
    }
}

const fn oid(dotted: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(dotted)
}

const SUBJECT_ALT_NAME: ObjectIdentifier = oid("2.5.29.17");

/// Attribute types with a short name: RFC 4519, and the mailbox of PKCS #9 (RFC 2985).
const SHORT_NAMES: [(ObjectIdentifier, &str); 14] = [
    (oid("2.5.4.3"), "CN"),
    (oid("2.5.4.4"), "SN"),
    (oid("2.5.4.5"), "serialNumber"),
    (oid("2.5.4.6"), "C"),
    (oid("2.5.4.7"), "L"),
    (oid("2.5.4.8"), "ST"),
    (oid("2.5.4.9"), "street"),
    (oid("2.5.4.10"), "O"),
    (oid("2.5.4.11"), "OU"),
    (oid("2.5.4.12"), "title"),
    (oid("2.5.4.42"), "GN"),
    (oid("0.9.2342.19200300.100.1.1"), "UID"),
    (oid("0.9.2342.19200300.100.1.25"), "DC"),
    (oid("1.2.840.113549.1.9.1"), "emailAddress"),
];
