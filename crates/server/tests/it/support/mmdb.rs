//! A writer of MaxMind files, as small as one can be (MaxMind DB File Format Specification 2.0).
use std::net::IpAddr;

/// Zero bytes between the tree and the data.
const SEPARATOR: usize = 16;

/// A file of a type with a few addresses, each with its country and city; an empty name is left out.
pub fn file(kind: &str, known: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut nodes: Vec<[Record; 2]> = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for (address, country, city) in known {
        put(&mut nodes, bits(address.parse().unwrap()), Record::Data(data.len()));
        data.extend(place(country, city));
    }
    let count = nodes.len();
    let number = |record: Record| match record {
        Record::Nothing => count,
        Record::Node(node) => node,
        Record::Data(offset) => count + SEPARATOR + offset,
    };
    let records = nodes.iter().flatten().map(|record| u32::try_from(number(*record)).unwrap());
    let mut file: Vec<u8> = records.flat_map(|number| number.to_be_bytes()[1..].to_vec()).collect();
    file.extend([0; SEPARATOR]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.extend(metadata(kind, u32::try_from(count).unwrap()));
    file
}

#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// IPv4 lies at the beginning of the tree.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn put(nodes: &mut Vec<[Record; 2]>, address: u128, data: Record) {
    let mut node = 0;
    for place in (1..128).rev() {
        let side = usize::from(address >> place & 1 == 1);
        node = match nodes[node][side] {
            Record::Node(next) => next,
            Record::Nothing | Record::Data(_) => {
                nodes.push([Record::Nothing; 2]);
                let next = nodes.len() - 1;
                nodes[node][side] = Record::Node(next);
                next
            }
        };
    }
    nodes[node][usize::from(address & 1 == 1)] = data;
}

fn place(country: &str, city: &str) -> Vec<u8> {
    let names = |name: &str| map(&[("names", map(&[("en", text(name))]))]);
    let parts = [("country", country), ("city", city)];
    let parts: Vec<(&str, Vec<u8>)> = parts
        .into_iter()
        .filter(|(_, name)| !name.is_empty())
        .map(|(key, name)| (key, names(name)))
        .collect();
    map(&parts)
}

fn metadata(kind: &str, nodes: u32) -> Vec<u8> {
    map(&[
        ("binary_format_major_version", sized(5, &[2])),
        ("binary_format_minor_version", sized(5, &[])),
        ("build_epoch", [vec![4, 2], 1_800_000_000_u32.to_be_bytes().to_vec()].concat()),
        ("database_type", text(kind)),
        ("description", map(&[("en", text("made by a test"))])),
        ("ip_version", sized(5, &[6])),
        ("languages", [vec![1, 4], text("en")].concat()),
        ("node_count", sized(6, &nodes.to_be_bytes())),
        ("record_size", sized(5, &[24])),
    ])
}

/// A value of a type below 8: its length in the first byte.
fn sized(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    assert!(length < 29, "longer ones are written in another way");
    [&[kind << 5 | length], value].concat()
}

fn text(text: &str) -> Vec<u8> {
    sized(2, text.as_bytes())
}

fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let inside = entries.iter().flat_map(|(key, value)| [text(key), value.clone()].concat());
    [vec![7 << 5 | u8::try_from(entries.len()).unwrap()], inside.collect()].concat()
}
