//! Link types: the LINKTYPE_ numbers of files, and the DLT_ numbers that libpcap uses within one system.

/// The DLT_ value of a LINKTYPE_ value on this system.
pub(super) fn to_dlt(link: u32) -> i32 {
    let special = SPECIAL.iter().find(|(linktype, _)| *linktype == link);
    special.map_or_else(|| i32::try_from(link).unwrap_or(i32::MAX), |(_, dlt)| *dlt)
}

/// The LINKTYPE_ value of a DLT_ value on this system.
pub(super) fn from_dlt(dlt: i32) -> u32 {
    let special = SPECIAL.iter().find(|(_, value)| *value == dlt);
    special.map_or_else(|| u32::try_from(dlt).unwrap_or(u32::MAX), |(link, _)| *link)
}

/// Where the two differ on Linux (libpcap's pcap-common.c); elsewhere they are the same number.
const SPECIAL: &[(u32, i32)] = &[
    (100, 11), // ATM_RFC1483
    (101, 12), // RAW
    (102, 15), // SLIP_BSDOS
    (103, 16), // PPP_BSDOS
    (106, 19), // ATM_CLIP
    (246, 18), // PFSYNC
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_ip_has_two_numbers_and_ethernet_one() {
        assert_eq!((to_dlt(101), from_dlt(12)), (12, 101));
        assert_eq!((to_dlt(1), from_dlt(1)), (1, 1));
        assert_eq!((to_dlt(276), from_dlt(276)), (276, 276));
        assert_eq!((to_dlt(u32::MAX), from_dlt(-1)), (i32::MAX, u32::MAX));
    }
}
