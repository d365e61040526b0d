//! Keys of machines: enrolled, replaced, revoked, expired.

use crate::records::{self, absent, invalid, now_ns, refused};
use crate::space::Space;
use crate::users;
use nix::errno::Errno;
use vrift_protocol::identity::{
    self, MAY_OPEN, Machine, MachineInfo, MachineKeys, OldKey, Reply, Standing, VERSION,
};
use vrift_secret::keys::is_signed;
use vrift_service::Refusal;

/// A list of them fits a frame.
const MACHINES_MAX: usize = 64;
const CAPABILITIES_MAX: usize = 8;
/// Keys of a machine that are remembered beside the one in use.
const OLDER_MAX: usize = 16;
/// A seed sealed to a machine has 208 digits.
const SEED_DIGITS_MAX: usize = 512;

pub fn standing(machine: &Machine) -> Standing {
    match machine.expired && machine.revoked_ns.is_none() {
        true => Standing::Expired,
        false => records::standing(machine.expires_ns, machine.revoked_ns),
    }
}

fn info(machine: &Machine) -> MachineInfo {
    MachineInfo {
        machine: machine.machine.clone(),
        sign: machine.sign.clone(),
        since_ns: machine.since_ns,
        expires_ns: machine.expires_ns,
        revoked_ns: machine.revoked_ns,
        capabilities: machine.capabilities.clone(),
        standing: standing(machine),
        older: machine.older.len(),
    }
}

pub fn find(space: &mut Space<'_>, user: &str, name: &str) -> Result<Option<Machine>, Refusal> {
    records::read(space, &records::machine(user, name)?)
}

/// The machine, which must be there.
pub fn known(space: &mut Space<'_>, user: &str, name: &str) -> Result<Machine, Refusal> {
    find(space, user, name)?.ok_or_else(|| absent(format!("there is no machine {name}")))
}

/// The machine, if its key counts. One that is past its time stays so, whatever becomes of the clock.
pub fn valid(space: &mut Space<'_>, user: &str, name: &str) -> Result<Machine, Refusal> {
    let machine = known(space, user, name)?;
    match standing(&machine) {
        Standing::Valid => Ok(machine),
        Standing::Revoked => Err(refused(format!("the key of {name} is revoked"))),
        Standing::Expired => {
            if !machine.expired {
                records::write(space, records::machine(user, name)?, &Machine { expired: true, ..machine })?;
            }
            Err(refused(format!("the key of {name} is past its time: vrift identity machine enrol")))
        }
    }
}

pub fn all(space: &mut Space<'_>, user: &str) -> Result<Reply, Refusal> {
    users::known(space, user)?;
    let prefix = records::machines(user);
    let mut machines = Vec::new();
    for key in space.below(&prefix)? {
        if let Some(machine) = records::read::<Machine>(space, &key)? {
            machines.push(info(&machine));
        }
    }
    Ok(Reply::Machines(machines))
}

fn check_keys(user: &str, name: &str, keys: &MachineKeys) -> Result<(), Refusal> {
    if let Some(unlock) = &keys.unlock {
        records::sealed(unlock, SEED_DIGITS_MAX)?;
    }
    let statement = identity::possession(user, name, &keys.sign, &keys.seal);
    match is_signed(&keys.sign, &statement, &keys.proof) {
        true => Ok(()),
        false => Err(invalid("the proof is not by the key that is handed in")),
    }
}

fn check_capabilities(capabilities: &[String], unlock: Option<&String>) -> Result<(), Refusal> {
    if capabilities.len() > CAPABILITIES_MAX {
        return Err(invalid(format!("a machine has at most {CAPABILITIES_MAX} capabilities")));
    }
    capabilities.iter().try_for_each(|name| records::name(name).map(drop))?;
    let may_open = capabilities.iter().any(|name| name == MAY_OPEN);
    match may_open == unlock.is_some() {
        true => Ok(()),
        false => {
            Err(invalid(format!("a sealed seed goes with the capability {MAY_OPEN}, and with it alone")))
        }
    }
}

/// A new machine, or a new key for one whose key does not count any more.
pub fn enrol(
    space: &mut Space<'_>,
    user: &str,
    name: &str,
    keys: MachineKeys,
    (expires_ns, capabilities): (Option<i64>, Vec<String>),
) -> Result<Reply, Refusal> {
    users::known(space, user)?;
    let key = records::machine(user, name)?;
    check_capabilities(&capabilities, keys.unlock.as_ref())?;
    check_keys(user, name, &keys)?;
    if expires_ns.is_some_and(|at| at <= now_ns()) {
        return Err(invalid("the key would be past its time from the beginning"));
    }
    let (older, other) = match find(space, user, name)? {
        Some(machine) if standing(&machine) == Standing::Valid => {
            let text = format!("{name} is enrolled: vrift identity machine rotate, or revoke it first");
            return Err(Refusal::new(Errno::EEXIST, text));
        }
        // What was taken back must not come back by being handed in again.
        Some(machine) if machine.sign == keys.sign => {
            return Err(invalid(format!("{name} needs another key than the one that ended")));
        }
        Some(machine) => {
            let until = machine.revoked_ns.or(machine.expires_ns).unwrap_or_else(now_ns);
            (older(&machine, until), machine.other)
        }
        None => {
            if space.below(&records::machines(user))?.len() >= MACHINES_MAX {
                return Err(Refusal::new(
                    Errno::ENOSPC,
                    format!("there are {MACHINES_MAX} machines already"),
                ));
            }
            (Vec::new(), identity::Other::new())
        }
    };
    let machine = Machine {
        version: VERSION,
        machine: name.into(),
        sign: keys.sign,
        seal: keys.seal,
        since_ns: now_ns(),
        expires_ns,
        revoked_ns: None,
        expired: false,
        capabilities,
        unlock: keys.unlock,
        older,
        other,
    };
    records::write(space, key, &machine)?;
    Ok(Reply::Machine(info(&machine)))
}

fn older(machine: &Machine, until_ns: i64) -> Vec<OldKey> {
    let last = OldKey { sign: machine.sign.clone(), since_ns: machine.since_ns, until_ns };
    [last].into_iter().chain(machine.older.iter().cloned()).take(OLDER_MAX).collect()
}

pub fn rotate(
    space: &mut Space<'_>,
    user: &str,
    name: &str,
    keys: MachineKeys,
    signature: &str,
) -> Result<Reply, Refusal> {
    let machine = valid(space, user, name)?;
    check_capabilities(&machine.capabilities, keys.unlock.as_ref())?;
    check_keys(user, name, &keys)?;
    let statement = identity::rotation(user, name, &keys.sign, &keys.seal);
    if !is_signed(&machine.sign, &statement, signature) {
        return Err(refused("the new key is not signed by the one that it is to replace"));
    }
    let now = now_ns();
    let older = older(&machine, now);
    let machine =
        Machine { sign: keys.sign, seal: keys.seal, unlock: keys.unlock, since_ns: now, older, ..machine };
    records::write(space, records::machine(user, name)?, &machine)?;
    Ok(Reply::Machine(info(&machine)))
}

pub fn revoke(space: &mut Space<'_>, user: &str, name: &str) -> Result<Reply, Refusal> {
    let machine = known(space, user, name)?;
    if machine.revoked_ns.is_some() {
        return Ok(Reply::Machine(info(&machine)));
    }
    // The sealed seed goes, too: whoever has the machine's key and reads the store finds nothing to open.
    let machine = Machine { revoked_ns: Some(now_ns()), unlock: None, ..machine };
    records::write(space, records::machine(user, name)?, &machine)?;
    Ok(Reply::Machine(info(&machine)))
}
