//! The file's settings, and what is wrong with it.

use super::*;

fn read(text: &str) -> Result<Layer, String> {
    Layer::read(Path::new("test.toml"), text).map_err(|error| error.to_string())
}

fn complaint(text: &str) -> String {
    read(text).unwrap_err()
}

#[test]
fn an_empty_file_leaves_everything_to_the_defaults() {
    let config = Config::new(read("").unwrap(), None, 8);
    assert_eq!((config.workers, config.metrics, config.eve, config.rules), (7, None, None, None));
    assert_eq!(config.events, "alert,incident,smtp,fileinfo,dns:mx,anomaly,stats".parse().unwrap());
    assert!(config.home_net.contains("192.168.1.1".parse().unwrap()));
    assert!(!config.sensor.flow_records && !config.sensor.all_dns && !config.inspect.keep_content);
    assert_eq!(Config::new(Layer::default(), None, 1).workers, 1);
}

#[test]
fn every_setting_is_read() {
    let text = r#"
        rules = ["a.toml", "b"]
        home-net = ["192.0.2.1/24", "2001:db8::1"]
        mail-server = "192.0.2.25"
        eve = "-"
        events = ["alert", "dns", "flow"]
        bpf = "port 25"
        workers = 3
        memory = "256MiB"
        metrics = "[::1]:9000"
        extract = "out"
        log-level = "warn"
        interface = "eth0"
        snaplen = 2000
        no-promiscuous = true
        ring-mib = 8
        threads = 2
        user = "mailsnare"
        no-reopen = true
        no-confinement = true
        fail-on = "high"
        format = "json"
        [detect.mail-volume]
        messages = 7
        [inspect]
        hashes = ["sha256"]
        [sensor]
        mail-ports = [26]
    "#;
    let layer = read(text).unwrap();
    assert_eq!(layer.interface, Some(vec!["eth0".to_owned()]));
    assert_eq!((layer.snaplen, layer.no_promiscuous, layer.ring_mib), (Some(2000), Some(true), Some(8)));
    assert_eq!((layer.threads, layer.user.as_deref()), (Some(2), Some("mailsnare")));
    assert_eq!((layer.no_reopen, layer.no_confinement), (Some(true), Some(true)));
    assert_eq!((layer.fail_on, layer.format), (Some(Severity::High), Some(Format::Json)));
    assert_eq!(layer.log_level, Some(LogLevel::Warn));
    let config = Config::new(layer, None, 8);
    assert_eq!(config.rules, Some(vec!["a.toml".into(), "b".into()]));
    assert!(config.home_net.contains("192.0.2.200".parse().unwrap()));
    assert!(config.home_net.contains("2001:db8::1".parse().unwrap()));
    assert!(!config.home_net.contains("10.0.0.1".parse().unwrap()));
    assert_eq!(config.mail_servers, ["192.0.2.25/32".parse::<IpNet>().unwrap()]);
    assert_eq!((config.eve.as_ref(), config.workers), (Some(&Destination::Stdout), 3));
    assert_eq!(config.shares().budget, Memory(256 << 20));
    assert_eq!(config.metrics, Some("[::1]:9000".parse().unwrap()));
    assert!(config.events.has(EventType::Alert) && !config.events.has(EventType::Smtp));
    assert!(config.sensor.all_dns && config.sensor.flow_records && config.inspect.keep_content);
    assert_eq!((config.detect.mail_volume.messages, config.sensor.mail_ports), (7, vec![26]));
}

#[test]
fn what_is_laid_over_wins() {
    let below = read("workers = 3\nmetrics = \"127.0.0.1:1\"\nbpf = \"tcp\"\n[sensor]\nflows = 5").unwrap();
    let above = Layer { workers: Some(4), metrics: Some(Metrics(None)), ..Layer::default() };
    let config = Config::new(above.over(below), "127.0.0.1:2".parse().ok(), 8);
    assert_eq!((config.workers, config.metrics, config.bpf.as_deref()), (4, None, Some("tcp")));
    assert_eq!(config.sensor.flows, 5);
}

#[test]
fn sources_share_the_budget_and_what_is_said_of_flows_wins() {
    let config = |text| Config::new(read(text).unwrap(), None, 2);
    let two = config("memory = \"64MiB\"").for_sources(2).unwrap();
    assert_eq!((two.sensor.flows, two.shares().hosts), (31_250, 6_250));
    let two = config("memory = \"64MiB\"\n[sensor]\nflows = 1_000_001\nmessage-bytes = 9").for_sources(2).unwrap();
    assert_eq!((two.sensor.flows, two.sensor.message_bytes), (500_001, 9));
    let why = config("memory = \"64MiB\"").for_sources(4).unwrap_err();
    assert!(why.contains("64MiB of memory is too little for 4 capture threads; use --memory 80MiB"), "{why}");
    let usual = config("").for_sources(1_000).unwrap();
    assert_eq!(usual.shares().budget, Memory::least(1_000));
}

#[test]
fn a_mistake_is_told_with_its_place_and_what_would_be_right() {
    for (text, what) in [
        ("\nhome_net = \"10.0.0.0/8\"", "test.toml:2:1: unknown key 'home_net'; did you mean 'home-net'?"),
        ("[detect.mail-volume]\n  mesages = 3", "test.toml:2:3: unknown key 'mesages'; did you mean 'messages'?"),
        ("home-net = [\n  \"10.0.0.0/8\",\n  \"ten\"]", "test.toml:3:3: 'ten' is no network; write it as"),
        ("events = [\"alrt\"]", "test.toml:1:11: unknown event type 'alrt'; did you mean 'alert'?"),
        ("workers = 0", "test.toml:1:11: 0 is out of range; use 1 to 256"),
        ("memory = \"8MiB\"", "test.toml:1:10: 8MiB of memory is too little to work with; use at least 32MiB"),
        ("memory = \"8 apples\"", "test.toml:1:10: '8 apples' is no size; write it as 512MiB or 2GiB"),
        ("threads = 65", "test.toml:1:11: 65 is out of range; use 1 to 64"),
        ("fail-on = \"worst\"", "test.toml:1:11: unknown severity 'worst'; use one of critical"),
        ("[inspect]\nhashes = [\"sha-256\"]", "test.toml:2:11: unknown value 'sha-256'; did you mean 'sha256'?"),
        ("metrics = \"9847\"", "test.toml:1:11: '9847' is no address with a port; write it as 127.0.0.1:9847"),
        ("rules = []", "test.toml:1:9: it names no rule file; leave it out for the built-in rules"),
        ("home-net = []", "test.toml:1:12: it names no network, so that no host would be judged"),
        ("rules = [\"\"]", "test.toml:1:10: expected the name of a file or folder"),
        ("extract = \"\"", "test.toml:1:11: expected the name of a file or folder"),
        ("evidence = \"\"", "test.toml:1:12: expected the name of a file or folder"),
        ("privacy-key-file = \"\"", "test.toml:1:20: expected the name of a file or folder"),
        ("metrics-textfile = \"\"", "test.toml:1:20: expected the name of a file or folder"),
        ("[detect.recipient-fanout]\ntheta0 = 2.0", "test.toml:2:10: 2.0 is out of range; use more than 0 and less"),
        ("[sensor]\nflows = 0", "test.toml:2:9: 0 is out of range; use 1 to 1073741824"),
        ("workers = 1.5", "test.toml:1:11: invalid type: floating point `1.5`, expected a whole number"),
        (
            "[sensor]\nmail-ports = [70000]",
            "test.toml:2:15: invalid value: integer `70000`, expected a whole number from 0 to",
        ),
        ("[detect.verdict]\ncalm-below = \"a\"", "test.toml:2:14: invalid type: string \"a\", expected a number"),
        ("eve = 1", "test.toml:1:7: invalid type: integer `1`, expected a string"),
        ("workers = 1\nworkers = 2", "test.toml:2:1: duplicate key"),
    ] {
        assert!(complaint(text).starts_with(what), "{text:?}: {}", complaint(text));
    }
    assert!(complaint("xyz = 1").contains("unknown key 'xyz'; use one of rules, home-net"));
}

#[test]
fn the_example_of_the_readme_holds() {
    let readme = include_str!("../../README.md");
    let example = readme.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let layer = read(example).unwrap();
    assert_eq!(layer.interface, Some(vec!["eth1".to_owned()]));
    // It shows the defaults of the tables.
    let sensor = layer.sensor.settings(&Shares::default(), 1);
    assert_eq!((layer.detect, sensor), (DetectSettings::default(), SensorSettings::default()));
    assert_eq!(layer.inspect, InspectSettings::default());
    assert_eq!(layer.events, Some(EventFilter::default()));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Layer::load(Path::new("no/such.toml")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the configuration file no/such.toml: "), "{error}");
    let error = Layer::load(Path::new("/dev/zero")).unwrap_err().to_string();
    assert_eq!(error, "cannot read the configuration file /dev/zero: it has more than 1048576 bytes");
}

#[test]
fn a_group_is_addresses_of_one_host() {
    let layer = read("[[group]]\naddresses = [\"192.0.2.25\", \"2001:db8::25\", \"::ffff:192.0.2.26\"]\n").unwrap();
    let expected: Vec<IpAddr> = ["192.0.2.25", "2001:db8::25", "192.0.2.26"].map(|ip| ip.parse().unwrap()).to_vec();
    assert_eq!(Config::new(Layer::default().over(layer), None, 2).groups, [expected]);
    for (text, what) in [
        ("addresses = [\"192.0.2.25\", \"mx\"]", "'mx' is no address; write it as 192.0.2.25 or 2001:db8::25"),
        ("addresses = [\"192.0.2.25\"]", "a group needs two addresses of one host or more"),
        (
            "addresses = [\"192.0.2.25\", \"192.0.2.26\"]\n[[group]]\naddresses = [\"192.0.2.26\", \"192.0.2.27\"]",
            "192.0.2.26 is in two groups; an address is of one host",
        ),
    ] {
        let told = complaint(&format!("[[group]]\n{text}\n"));
        assert!(told.starts_with("test.toml:") && told.contains(what), "{told}");
    }
    let many: Vec<String> = (0..65).map(|n| format!("\"192.0.2.{n}\"")).collect();
    assert!(complaint(&format!("[[group]]\naddresses = [{}]\n", many.join(","))).contains("65 addresses are too many"));
}

#[test]
fn a_wish_not_to_be_told_names_detector_hosts_and_reason() {
    let text = "[[ignore]]\ndetector = \"mail-volume\"\nhost = \"10.0.0.7\"\nreason = \"sends the bills\"\n";
    let layer = Layer::read(Path::new("m.toml"), text).unwrap();
    let config = Config::new(layer, None, 2);
    let expected = Ignore {
        detector: "mail-volume".into(),
        host: "10.0.0.7/32".parse().unwrap(),
        reason: "sends the bills".into(),
    };
    assert_eq!(config.ignore, [expected]);
    for (from, to, complaint) in [
        ("sends the bills", " ", "say why"),
        ("reason = \"sends the bills\"", "", "reason"),
        ("10.0.0.7", "10.0.0.300", "no network"),
        ("reason", "reasom", "reason"),
    ] {
        let error = Layer::read(Path::new("m.toml"), &text.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(complaint), "{error}");
    }
}
