//! What is recognised, and what is left alone.

use super::*;
use crate::flow::flags::SYN;
use mailsnare_lab::dns as lab_dns;
use mailsnare_lab::smtp::{Leave, Security};
use mailsnare_lab::tls::Era;

#[test]
fn a_session_is_told_from_connection_to_end() {
    let mut frames = mail(start(), 1_025, 25, 1);
    frames.push(time_passes(start() + 60 * SECOND));
    let told = sense(frames);
    assert_eq!(told.story(), ["connect", "greeting", "smtp", "end"]);
    let mail = told.mails()[0];
    assert_is_the_letter(mail);
    assert_eq!((mail.helo.as_deref(), mail.extended), (Some("pc.alder.example"), true));
    assert_eq!((mail.outcome, mail.reply.as_ref().map(|r| r.code)), (Outcome::Accepted, Some(250)));
    assert_eq!((mail.unseen, mail.tls), ([false, false], false));
    for flow in told.flows() {
        assert_eq!(
            (flow.client.to_string(), flow.server.to_string()),
            ("10.20.1.26:1025".into(), "198.51.100.60:25".into())
        );
        assert_eq!((flow.started.as_nanos(), flow.midstream), (start(), false));
    }
    assert_eq!((told.stats.smtp.sessions, told.stats.smtp.transactions, told.stats.smtp.messages), (1, 1, 1));
}

#[test]
fn smtp_is_found_by_content_on_any_port() {
    for early in [false, true] {
        let client = Client { early, ..Client::new("pc.alder.example") };
        let talk = script(&Session { client, ..session(vec![letter()]) });
        let told = sense(conversation(start(), 1_025, 2_626, 1).play(&talk).packets);
        assert_eq!(told.story(), ["greeting", "smtp", "end"], "early: {early}");
        assert_is_the_letter(told.mails()[0]);
        assert_eq!(told.flows()[0].server.port(), 2_626);
    }
}

#[test]
fn other_protocols_are_never_taken_for_mail() {
    let say = |client: &str| Step::Client(client.into());
    let answer = |server: &str| Step::Server(server.into());
    let ftp = vec![
        answer("220 ftp.birch.example FTP server ready\r\n"),
        say("USER anonymous\r\n"),
        answer("331 Send your e-mail address as password\r\n"),
        say("PASS a@alder.example\r\n"),
        answer("230 Logged in\r\n"),
        say("QUIT\r\n"),
        answer("221 Bye\r\n"),
    ];
    let ftp_with_hello = vec![
        answer("220-Welcome\r\n220 ftp.birch.example\r\n"),
        say("AUTH TLS\r\n"),
        answer("234 Proceed\r\n"),
        say("\x16\x03\x01\x00\x05hello"),
    ];
    let http = vec![
        say("POST /mail HTTP/1.1\r\nHost: www.birch.example\r\n\r\nMAIL FROM:<x@y>\r\nRCPT TO:<z@y>\r\nDATA\r\n"),
        answer("HTTP/1.1 220 fine\r\n\r\n"),
    ];
    let pop = vec![
        answer("+OK POP3 ready\r\n"),
        say("USER a\r\n"),
        answer("+OK\r\n"),
        say("RETR 1\r\n"),
        answer("+OK\r\nReceived: by mx\r\n\r\nEHLO pc\r\nMAIL FROM:<a@b>\r\n.\r\n"),
    ];
    for (name, talk) in [("ftp", ftp), ("ftp over tls", ftp_with_hello), ("http", http), ("pop3", pop)] {
        for (port, opening) in [
            (2_121, Opening::Answered),
            (2_121, Opening::Midstream),
            (21, Opening::Answered),
            (8_080, Opening::Answered),
        ] {
            let plan = Conversation { opening, ..conversation(start(), 1_025, port, 1) };
            let mut frames = plan.play(&talk).packets;
            frames.push(time_passes(start() + LATER));
            let told = sense(frames);
            assert_eq!(told.story(), [""; 0], "{name} on {port}, {opening:?}");
            assert_eq!((told.stats.smtp.sessions, told.stats.flow.streams), (0, 0), "{name} on {port}, {opening:?}");
        }
    }
}

#[test]
fn on_a_mail_port_another_protocol_is_only_a_connection() {
    let talk = [Step::Client(b"GET / HTTP/1.0\r\n\r\n".to_vec()), Step::Server(b"HTTP/1.0 200 OK\r\n\r\n".to_vec())];
    let told = sense(conversation(start(), 1_025, 25, 1).play(&talk).packets);
    assert!(told.mails().is_empty());
    assert_eq!(told.connects(), [ConnectOutcome::Answered]);
}

#[test]
fn a_capture_that_begins_inside_a_session_yields_what_is_left() {
    let two = session(vec![Transaction::new("first@x.example", &["y@x.example"], b"gone\r\n".to_vec()), letter()]);
    for port in [25, 2_626] {
        let plan = Conversation { opening: Opening::Midstream, ..conversation(start(), 1_025, port, 1) };
        let mut frames = plan.play(&script(&two)).packets;
        // The capture begins with the second MAIL command.
        let from = frames.iter().position(|frame| payload(frame).starts_with(b"MAIL FROM:<a@alder")).unwrap();
        frames.drain(..from);
        let told = sense(frames);
        let mails = told.mails();
        assert_eq!(mails.len(), 1, "{:?}", told.story());
        assert_is_the_letter(mails[0]);
        let flow = told.flows()[0];
        assert!(flow.midstream);
        assert_eq!((flow.client.port(), flow.server.port()), (1_025, port));
    }
}

#[test]
fn a_capture_that_begins_with_the_servers_greeting_knows_who_is_who() {
    for port in [25, 2_626] {
        let plan = Conversation { opening: Opening::Midstream, ..conversation(start(), 1_025, port, 1) };
        let told = sense(plan.play(&script(&session(vec![letter()]))).packets);
        assert_is_the_letter(told.mails()[0]);
        assert_eq!((told.flows()[0].client.port(), told.flows()[0].server.port()), (1_025, port));
    }
}

#[test]
fn one_direction_is_enough() {
    for port in [25, 2_626] {
        for opening in [Opening::Answered, Opening::Midstream] {
            let plan = Conversation { opening, ..conversation(start(), 1_025, port, 1) };
            let both = plan.play(&script(&session(vec![letter()]))).packets;
            let [from_client, from_server] = [CLIENT, SERVER]
                .map(|side| both.iter().filter(|frame| sent_by(frame) == side).cloned().collect::<Vec<_>>());

            let told = sense(from_client);
            let mails = told.mails();
            assert_eq!(mails.len(), 1, "client alone on {port}, {opening:?}: {:?}", told.story());
            assert_is_the_letter(mails[0]);
            assert_eq!((mails[0].unseen, mails[0].outcome), ([false, true], Outcome::Unknown));
            assert_eq!(told.flows()[0].server.port(), port);
            assert_eq!(told.stats.flow.gaps, 0);

            let told = sense(from_server);
            let story = told.story();
            let greets = opening == Opening::Answered;
            assert_eq!(story.contains(&"greeting"), greets, "server alone on {port}: {story:?}");
            assert!(told.mails().len() <= 1, "{story:?}");
            assert!(told.mails().iter().all(|mail| mail.unseen == [true, false] && mail.message.is_none()));
            assert_eq!(told.flows()[0].server.port(), port, "server alone, {opening:?}");
        }
    }
}

#[test]
fn several_transactions_are_told_each_by_itself() {
    let transactions = (0..5).map(|n| {
        Transaction::new(&format!("s{n}@x.example"), &["r@y.example"], format!("n: {n}\r\n\r\n").into_bytes())
    });
    let told = sense(conversation(start(), 1_025, 25, 1).play(&script(&session(transactions.collect()))).packets);
    let mails = told.mails();
    assert_eq!(mails.len(), 5);
    for (n, mail) in mails.iter().enumerate() {
        assert_eq!(mail.tx_id as usize, n);
        assert_eq!(mail.envelope.as_ref().unwrap().mail_from, format!("s{n}@x.example"));
        assert_eq!(mail.message.as_ref().unwrap().bytes, format!("n: {n}\r\n\r\n").as_bytes());
    }
}

#[test]
fn tls_hides_the_mail_but_not_the_session() {
    for (port, security, helo) in [
        (25, Security::StartTls(Era::Tls13), Some("pc.alder.example")),
        (587, Security::StartTls(Era::Tls10), Some("pc.alder.example")),
        (465, Security::Implicit(Era::Tls13), None),
        (465, Security::Implicit(Era::Tls10), None),
    ] {
        let session = Session { security, ..session(vec![letter()]) };
        let mut frames = conversation(start(), 1_025, port, 1).play(&script(&session)).packets;
        frames.push(time_passes(start() + 60 * SECOND));
        let told = sense(frames);
        let mails = told.mails();
        assert_eq!(mails.len(), 1, "{security:?}: {:?}", told.story());
        assert_eq!((mails[0].tls, mails[0].helo.as_deref()), (true, helo), "{security:?}");
        assert!(mails[0].envelope.is_none() && mails[0].message.is_none());
        assert_eq!(told.end_reasons(), [EndReason::Finished], "{security:?}");
        assert_eq!(told.flow_ends()[0].app_proto, "smtp");
        assert_eq!((told.stats.smtp.tls_sessions, told.stats.flow.held_bytes), (1, 0));
    }
}

#[test]
fn dns_is_heard_over_udp_and_tcp() {
    let mut zones = lab_dns::Zones::default();
    zones.exchanger("birch.example", 10, "mx.birch.example");
    zones.address("mx.birch.example", SERVER.into());
    let query = lab_dns::Message::query(0x0201, "birch.example", lab_dns::MX);
    let answer = query.answered_by(&zones);
    let [client, server] = ends(1_030, 53);
    let datagram = |from: Endpoint, to: Endpoint, time, message: &lab_dns::Message| {
        let mut data = Vec::new();
        let ip = Ip { src: from.ip, dst: to.ip, ttl: 64, id: 1, df: false };
        wire::udp(&mut data, &Link::default(), &ip, (from.port, to.port), &message.encode(true));
        Frame { time, data }
    };
    let udp = vec![datagram(client, server, start(), &query), datagram(server, client, start() + 1_000_000, &answer)];
    let talk =
        [Step::Client(query.encode_tcp(true)), Step::Server(answer.encode_tcp(true)), Step::ClientFin, Step::ServerFin];
    let tcp = conversation(start(), 1_030, 53, 1).play(&talk).packets;
    for (frames, over_tcp) in [(udp, false), (tcp, true)] {
        let told = sense(frames);
        assert_eq!(told.story(), ["dns", "dns"], "over TCP: {over_tcp}");
        let [asked, answered] = told.questions()[..] else { panic!("two messages") };
        assert_eq!((asked.id, asked.is_response(), asked.over_tcp), (0x0201, false, over_tcp));
        assert_eq!((asked.queries[0].name.as_str(), asked.queries[0].qtype), ("birch.example", 15));
        assert!(answered.is_response() && answered.answers.len() == 1 && answered.additionals.len() == 1);
        assert_eq!(told.flows()[0].client.to_string(), "10.20.1.26:1030");
        let dns = &told.stats.dns;
        assert_eq!((dns.queries, dns.responses, dns.mx_queries, dns.malformed), (1, 1, 1, 0));
    }
}

#[test]
fn data_in_the_syn_is_read() {
    // RFC 7413 (TCP Fast Open): a client that talks early may do so with its SYN.
    let hello = b"EHLO pc.alder.example\r\n";
    let syn = Hand { from_client: true, ports: [1_025, 25], seq: 99, ack: 0, flags: SYN, payload: hello };
    let talk = [
        Hand {
            payload: b"MAIL FROM:<a@alder.example>\r\nRCPT TO:<b@birch.example>\r\n",
            seq: 100 + 23,
            flags: 16,
            ..syn
        },
        Hand { from_client: false, payload: b"220 mx\r\n250 mx\r\n", seq: 500, ack: 123, flags: 16, ..syn },
    ];
    let frames = [&syn, &talk[0], &talk[1]].into_iter().zip(0..).map(|(hand, n)| hand.at(start() + n * SECOND));
    let told = sense(frames.collect());
    let envelope = told.mails()[0].envelope.as_ref().expect("an envelope").clone();
    assert_eq!(
        (told.mails()[0].helo.as_deref(), envelope.mail_from.as_str()),
        (Some("pc.alder.example"), "a@alder.example")
    );
}

#[test]
fn a_client_that_leaves_without_a_word_is_told() {
    for leave in [Leave::Silently, Leave::Rudely] {
        let client = Client { leave, ..Client::new("pc.alder.example") };
        let talk = script(&Session { client, ..session(vec![letter()]) });
        let told = sense(conversation(start(), 1_025, 25, 1).play(&talk).packets);
        assert_is_the_letter(told.mails()[0]);
        assert_eq!(told.story(), ["connect", "greeting", "smtp", "end"], "{leave:?}");
    }
}

/// Who carries a flow is told once, before the answer, by sides; of a tunnel nobody knows.
#[test]
fn the_hardware_addresses_of_an_answered_opening_are_told() {
    let plan = conversation(start(), 1_025, 25, 7);
    let [client, server] = ends(1_025, 25);
    let told = sense(plan.play(&script(&session(vec![letter()]))).packets);
    let hardware = told.pick(|kind| if let EventKind::Hardware(hardware) = kind { Some(*hardware) } else { None });
    assert_eq!(hardware, [[client.mac.0, server.mac.0].map(crate::model::net::Mac)]);
    let place = |name: fn(&EventKind) -> bool| told.events.iter().position(|event| name(&event.kind));
    let hardware = place(|kind| matches!(kind, EventKind::Hardware(_)));
    let answered = place(|kind| matches!(kind, EventKind::Connect(ConnectOutcome::Answered)));
    assert!(hardware < answered, "{:?}", told.story());
}
