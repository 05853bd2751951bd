//! Who the process is, and which capabilities it has.

use std::ffi::CString;

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setresgid, setresuid};

use super::{ConfineError, Report};

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl Account {
    /// Looks a user up by name, or by number.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self, ConfineError> {
        let found = match name.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)),
            Err(_) => User::from_name(name),
        };
        let user = found.ok().flatten().ok_or_else(|| ConfineError::NoSuchUser(name.to_owned()))?;
        Ok(Self { name: user.name, uid: user.uid, gid: user.gid })
    }
}

pub(super) fn give_up(account: Option<&Account>, keep_net_raw: bool) -> Result<Report, ConfineError> {
    let mut report = Report::default();
    let was_root = geteuid().is_root();
    let refused = |error: caps::errors::CapsError| ConfineError::Capabilities(error.to_string());
    let had = caps::read(None, CapSet::Permitted).map_err(refused)?;
    let keep: CapsHashSet = had.iter().copied().filter(|cap| keep_net_raw && *cap == Capability::CAP_NET_RAW).collect();
    // The bounding set first: it takes a capability to shrink it.
    if had.contains(&Capability::CAP_SETPCAP) {
        for cap in caps::all() {
            // One that this kernel does not know is not there to be dropped.
            if caps::has_cap(None, CapSet::Bounding, cap).unwrap_or(false) {
                caps::drop(None, CapSet::Bounding, cap).map_err(refused)?;
            }
        }
    }
    if let Some(account) = account {
        if !was_root {
            return Err(ConfineError::NotRoot(account.name.clone()));
        }
        become_user(account)?;
        report.applied.push(format!("user: {} (uid {})", account.name, account.uid));
    } else if was_root {
        report.missing.push("user: still root; name another with --user".to_owned());
    }
    // An empty ambient set is what a kernel without one has; inheritable ones go, so that they cannot come back.
    let _ = caps::clear(None, CapSet::Ambient);
    caps::set(None, CapSet::Effective, &keep).map_err(refused)?;
    caps::set(None, CapSet::Permitted, &keep).map_err(refused)?;
    caps::set(None, CapSet::Inheritable, &CapsHashSet::new()).map_err(refused)?;
    account.map_or(Ok(()), is_final)?;
    let kept: Vec<String> = keep.iter().map(ToString::to_string).collect();
    report.applied.push(format!("capabilities: {}", if kept.is_empty() { "none".to_owned() } else { kept.join(", ") }));
    let sealed = prctl::set_no_new_privs();
    report.note("new privileges", sealed.map(|()| "none".to_owned()).map_err(|error| error.to_string()));
    Ok(report)
}

/// Becomes another user for good, with what capabilities there are still permitted afterwards.
fn become_user(account: &Account) -> Result<(), ConfineError> {
    let failed = |what| {
        move |cause: nix::errno::Errno| ConfineError::CannotBecome {
            user: account.name.clone(),
            what,
            cause: cause.to_string(),
        }
    };
    let Account { name, uid, gid } = account;
    let name = CString::new(name.as_str()).map_err(|_| ConfineError::NoSuchUser(name.clone()))?;
    prctl::set_keepcaps(true).map_err(failed("keeping capabilities"))?;
    initgroups(&name, *gid).map_err(failed("its groups"))?;
    setresgid(*gid, *gid, *gid).map_err(failed("its group"))?;
    setresuid(*uid, *uid, *uid).map_err(failed("its number"))?;
    prctl::set_keepcaps(false).map_err(failed("keeping capabilities no longer"))?;
    Ok(())
}

/// There must be no way back.
fn is_final(account: &Account) -> Result<(), ConfineError> {
    let root = Uid::from_raw(0);
    if !account.uid.is_root() && setresuid(root, root, root).is_ok() {
        let (what, cause) = ("it was left", "the kernel let it become root again".to_owned());
        return Err(ConfineError::CannotBecome { user: account.name.clone(), what, cause });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number_and_others_are_not() {
        let root = Account::named("root").unwrap();
        assert_eq!((root.uid.as_raw(), root.gid.as_raw()), (0, 0));
        assert_eq!(Account::named("0").unwrap(), root);
        let error = Account::named("no-such-user").unwrap_err().to_string();
        assert!(error.starts_with("no user 'no-such-user' on this machine; "), "{error}");
    }

    /// Capabilities belong to the thread, so that this one alone loses them; the user belongs to the process.
    #[test]
    fn what_is_not_kept_is_gone() {
        std::thread::spawn(|| {
            let had = caps::read(None, CapSet::Permitted).unwrap();
            let report = give_up(None, true).unwrap();
            let kept: CapsHashSet = had.into_iter().filter(|cap| *cap == Capability::CAP_NET_RAW).collect();
            for set in [CapSet::Permitted, CapSet::Effective] {
                assert_eq!(caps::read(None, set).unwrap(), kept);
            }
            assert_eq!(prctl::get_no_new_privs(), Ok(true));
            assert!(report.applied.iter().any(|said| said.starts_with("capabilities: ")), "{report:?}");
            give_up(None, false).unwrap();
            assert!(caps::read(None, CapSet::Permitted).unwrap().is_empty());
        })
        .join()
        .unwrap();
    }
}
