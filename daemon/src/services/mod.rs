//! Services: started when somebody asks for them, asked one thing at a time, started again when they die.

mod child;

use crate::connection::Connection;
use crate::daemon::Daemon;
use crate::policy::{Right, SERVICE_PREFIX, Who};
use crate::workers::Workers;
use child::{Child, Lost};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use vrift_protocol::FrameHeader;
use vrift_protocol::service::{self, Caller, Need, Ready, Service};
use zeroize::Zeroizing;

/// Requests of people that wait for services at a time.
const CALLERS: usize = 4;
/// Requests of services themselves: each has one under way at most, so that none waits for another's.
const OWN: usize = Service::ALL.len();
/// Pause before a service that died is started again: doubled each time, until it has answered something.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Characters of the reason in an entry of the audit log.
const WHY_LEN_MAX: usize = 300;

/// Why a request to a service was not carried out.
pub struct Refusal(pub Errno, pub String);

/// One service.
#[derive(Default)]
struct Slot {
    child: Option<Child>,
    /// Deaths since it last answered.
    deaths: u32,
    not_before: Option<Instant>,
}

/// All services and the threads that wait for them, which are there once one was asked for.
pub struct Services {
    slots: [Mutex<Slot>; Service::ALL.len()],
    callers: OnceLock<Workers>,
    own: OnceLock<Workers>,
    /// Connections to the key-value space that the event loop is to take over.
    handed_over: Mutex<Vec<(Service, OwnedFd)>>,
    /// Readable when there are some.
    pub hand_over: EventFd,
}

impl Services {
    pub fn new() -> nix::Result<Services> {
        Ok(Services {
            slots: Default::default(),
            callers: OnceLock::new(),
            own: OnceLock::new(),
            handed_over: Mutex::default(),
            hand_over: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
        })
    }

    fn slot(&self, service: Service) -> MutexGuard<'_, Slot> {
        let index = service as usize - 1;
        self.slots[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all of them, at the daemon's end.
    pub fn stop(&self) {
        for slot in &self.slots {
            slot.lock().unwrap_or_else(PoisonError::into_inner).child = None;
        }
    }

    /// What the event loop has to take over.
    pub fn take_handed_over(&self) -> Vec<(Service, OwnedFd)> {
        let _ = self.hand_over.read();
        std::mem::take(&mut *self.handed_over.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Threads for the requests that services make: people's requests wait for these.
    pub fn own_workers(&self) -> &Workers {
        self.own.get_or_init(|| Workers::start_or_none("service", OWN))
    }

    fn workers_for(&self, who: &Who) -> &Workers {
        match who {
            Who::Service(_) => self.own_workers(),
            Who::Person { .. } => self.callers.get_or_init(|| Workers::start_or_none("caller", CALLERS)),
        }
    }
}

/// Whether a service's program is there.
pub fn installed(service: Service) -> Result<(), Refusal> {
    child::program(service).map(drop)
}

/// Takes a request of one of the daemon's clients to a service.
pub fn serve(daemon: &Arc<Daemon>, connection: &Arc<Connection>, header: FrameHeader, body: &[u8]) {
    if service::parse(body).is_none() {
        daemon.stats.malformed.fetch_add(1, Ordering::Relaxed);
        return connection.reply(&header, Err(Errno::EBADMSG));
    }
    if connection.busy.swap(true, Ordering::Acquire) {
        return connection.reply(&header, Err(Errno::EBUSY));
    }
    // What is asked, and what is answered, may be a secret.
    let (this, client, body) = (Arc::clone(daemon), Arc::clone(connection), Zeroizing::new(body.to_vec()));
    daemon.services.workers_for(&connection.who).submit(Box::new(move || {
        let answer = match service::parse(&body) {
            Some((service, need, json)) => ask(&this, &client.who, service, need, json),
            None => Err(Refusal(Errno::EBADMSG, String::new())),
        };
        let (errno, body) = match answer {
            Ok(body) => (0, Zeroizing::new(body)),
            Err(Refusal(errno, text)) => (errno as u32, Zeroizing::new(text.into_bytes())),
        };
        client.busy.store(false, Ordering::Release);
        let _ = client.reply_bytes(&header, errno, &body, false);
    }));
}

/// Asks a service for `who`, if the policy lets them.
fn ask(daemon: &Daemon, who: &Who, service: Service, need: Need, json: &[u8]) -> Result<Vec<u8>, Refusal> {
    let path = format!("{SERVICE_PREFIX}{}/", service.name());
    let right = Right::from(need);
    if !daemon.may(who, right, path.as_bytes()) {
        let text = format!("the policy does not let {who} ask for that ({} of {path})", right.name());
        return Err(Refusal(Errno::EACCES, text));
    }
    let answer = daemon.call(who, service, need, json);
    let what = format!("{path}{}", act(json));
    match &answer {
        Ok(_) if is_act(service, need) => daemon.act(who, right, &what, "done"),
        Err(refusal) if is_act(service, need) => {
            daemon.act(who, right, &what, &format!("refused: {}", why(refusal)));
        }
        Err(refusal) if is_denial(refusal.0) => {
            daemon.denied(who, right, what.as_bytes(), &format!("denied: {}", why(refusal)));
        }
        _ => {}
    }
    answer
}

/// In words, which have no secrets in them.
fn why(Refusal(errno, text): &Refusal) -> String {
    if text.is_empty() { errno.desc().into() } else { text.chars().take(WHY_LEN_MAX).collect() }
}

/// An administrative act; of boot control each change is one.
fn is_act(service: Service, need: Need) -> bool {
    need == Need::Admin || (service, need) == (Service::Boot, Need::Write)
}

/// The service does not let them: not theirs, never given away, or not proved.
fn is_denial(errno: Errno) -> bool {
    matches!(errno, Errno::EACCES | Errno::EPERM | Errno::EOPNOTSUPP | Errno::EILSEQ | Errno::EKEYREJECTED)
}

/// What is asked for, without what it is asked with, which may be a secret: `"rotate"` or `{"rotate": ...}`.
fn act(json: &[u8]) -> String {
    let plain =
        |name: &str| name.len() < 64 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let name = match serde_json::from_slice(json) {
        Ok(serde_json::Value::String(name)) => Some(name),
        Ok(serde_json::Value::Object(map)) => map.keys().next().cloned(),
        _ => None,
    };
    name.filter(|name| plain(name)).unwrap_or_else(|| "?".into())
}

impl Daemon {
    /// The service's answer to one request; it is started if it does not run.
    fn call(&self, who: &Who, service: Service, need: Need, json: &[u8]) -> Result<Vec<u8>, Refusal> {
        let (uid, gid, by) = match who {
            Who::Person { uid, gid, .. } => (*uid, *gid, 0),
            Who::Service(service) => (0, 0, *service as u8),
        };
        let caller =
            Caller { uid: uid.into(), gid: gid.into(), service: by, need: need as u8, reserved: 0.into() };
        let mut slot = self.services.slot(service);
        // What only tells something may be asked again.
        let attempts = if need == Need::Read { 2 } else { 1 };
        let mut last = Lost::Ended;
        for _ in 0..attempts {
            self.start_service(&mut slot, service)?;
            let Some(child) = &mut slot.child else { break };
            match child.ask(&caller, json) {
                Ok(answer) => {
                    slot.deaths = 0;
                    return answer;
                }
                Err(lost) => {
                    tracing::warn!(service = service.name(), %lost, "a service is lost");
                    slot.died();
                    last = lost;
                }
            }
        }
        let text = format!("{} {last}; it may or may not have done what was asked", service.name());
        Err(Refusal(Errno::EIO, text))
    }

    fn start_service(&self, slot: &mut Slot, service: Service) -> Result<(), Refusal> {
        if slot.child.as_mut().is_some_and(Child::is_alive) {
            return Ok(());
        }
        if slot.child.is_some() {
            slot.died();
        }
        if let Some(at) = slot.not_before {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
        }
        let started = self.begin_service(service);
        match started {
            Ok(child) => {
                tracing::info!(
                    service = service.name(),
                    confinement = child.ready.confinement,
                    "a service is ready"
                );
                slot.child = Some(child);
                Ok(())
            }
            Err(refusal) => {
                slot.died();
                Err(refusal)
            }
        }
    }

    fn begin_service(&self, service: Service) -> Result<Child, Refusal> {
        let secret = match (service, &self.config.keystore.key_file) {
            (Service::Keystore, Some(path)) => Some(child::secret(path)?),
            _ => None,
        };
        let (mut child, space) = Child::spawn(service, secret)?;
        self.services.handed_over.lock().unwrap_or_else(PoisonError::into_inner).push((service, space));
        let _ = self.services.hand_over.write(1);
        child.await_ready(service)?;
        Ok(child)
    }

    /// Whether there is a device key.
    pub fn keystore_has_key(&self) -> bool {
        let key = statefs_journal::Key::new(b"/state/keystore/device");
        key.is_ok_and(|key| self.store.state_get(&key).is_ok_and(|value| value.is_some()))
    }

    /// Whether keystored's records are sealed; None: it does not answer.
    pub fn keystore_status(&self) -> Option<vrift_protocol::keystore::Reply> {
        let json = serde_json::to_vec(&vrift_protocol::keystore::Request::Status).ok()?;
        let me = Who::Person {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            groups: Arc::default(),
        };
        let answer = self.call(&me, Service::Keystore, Need::Read, &json).ok()?;
        serde_json::from_slice(&answer).ok()
    }

    /// What a service said when it became ready; it is started if it does not run.
    pub fn service_ready(&self, service: Service) -> Result<Ready, Refusal> {
        let mut slot = self.services.slot(service);
        self.start_service(&mut slot, service)?;
        match &slot.child {
            Some(child) => Ok(child.ready.clone()),
            None => Err(Refusal(Errno::EIO, "it does not run".into())),
        }
    }
}

/// Before the next start of a service that died so often before.
fn pause(deaths: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << deaths.min(16)).min(PAUSE_MAX)
}

impl Slot {
    fn died(&mut self) {
        self.child = None;
        self.not_before = Some(Instant::now() + pause(self.deaths));
        self.deaths += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_keeps_dying_is_started_after_ever_longer_pauses_up_to_a_bound() {
        assert_eq!(pause(0), PAUSE_MIN);
        for deaths in 1..100 {
            assert_eq!(pause(deaths), (pause(deaths - 1) * 2).min(PAUSE_MAX), "{deaths}");
        }
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
        let mut slot = Slot::default();
        for deaths in 0..20 {
            let before = Instant::now();
            slot.died();
            assert_eq!(slot.deaths, deaths + 1);
            assert!(slot.not_before.unwrap() >= before + pause(deaths), "{deaths}");
        }
    }
}
