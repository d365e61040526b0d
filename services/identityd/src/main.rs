//! identityd: users, the keys of their machines, and credentials.
//!
//! Lives here: who may log in, which records a user has and whether they are as they were written, proofs that whoever hands in a public key has the private one. May
//! import protocol, what services share, and `vrift-secret` to check signatures. Must never appear here: files, anything
//! that opens what is sealed, a user's name that comes from a request.
#![forbid(unsafe_code)]

mod credentials;
mod login;
mod machines;
mod records;
mod space;
#[cfg(test)]
mod tests;
mod users;

use login::Door;
use nix::errno::Errno;
use space::{Keys, Space};
use std::process::ExitCode;
use vrift_protocol::identity::{Reply, Request};
use vrift_protocol::pipeline::Blocking;
use vrift_protocol::service::{Caller, Need, Service};
use vrift_service::{Refusal, Serve};

struct Identity {
    door: Door,
    /// Of the ledgers.
    keys: Keys,
    /// The user whose daemon this is.
    daemon_uid: u32,
}

fn main() -> ExitCode {
    let daemon_uid = nix::unistd::geteuid().as_raw();
    vrift_service::run(Service::Identity, &[], |_, _| Ok(Identity::new(daemon_uid)))
}

impl Identity {
    fn new(daemon_uid: u32) -> Identity {
        Identity { door: Door::default(), keys: Keys::new(), daemon_uid }
    }
}

impl Serve for Identity {
    type Request = Request;
    type Reply = Reply;

    fn need(request: &Request) -> Need {
        request.need()
    }

    fn answer(&mut self, space: &mut Blocking, caller: &Caller, request: Request) -> Result<Reply, Refusal> {
        if let Some(service) = caller.service() {
            let text = format!("{} is a service, and services are no users", service.name());
            return Err(Refusal::new(Errno::EACCES, text));
        }
        let space = &mut Space { inner: space, keys: &mut self.keys };
        let uid = caller.uid.get();
        let user = uid.to_string();
        let user = &user[..];
        match request {
            Request::Show => users::show(space, user),
            Request::Users if uid != self.daemon_uid => {
                Err(Refusal::new(Errno::EACCES, "only the user whose daemon this is sees all users"))
            }
            Request::Users => users::all(space),
            Request::AddUser { name, sign, seal, lock, proof } => {
                users::add(space, user, users::New { name, sign, seal, lock }, &proof)
            }
            Request::RemoveUser => {
                self.door.forget(user, None);
                users::remove(space, user)
            }
            Request::Private => users::private(space, user),
            Request::Relock { lock, signature } => users::relock(space, user, lock, &signature),
            Request::ShareOut { recovery, signature } => users::share_out(space, user, recovery, &signature),
            Request::Machines => machines::all(space, user),
            Request::Enrol { machine, keys, expires_ns, capabilities } => {
                machines::enrol(space, user, &machine, keys, (expires_ns, capabilities))
            }
            Request::Rotate { machine, keys, signature } => {
                self.door.forget(user, Some(&machine));
                machines::rotate(space, user, &machine, keys, &signature)
            }
            Request::Revoke { machine } => {
                self.door.forget(user, Some(&machine));
                machines::revoke(space, user, &machine)
            }
            Request::Challenge { machine } => self.door.challenge(space, user, &machine),
            Request::Login { machine, challenge, signature } => {
                self.door.login(space, user, &machine, &challenge, &signature)
            }
            Request::Unlock { session } => self.door.unlock(space, user, &session),
            Request::Credentials => credentials::all(space, user),
            Request::PutCredential { name, url, expires_ns, sealed } => {
                credentials::put(space, user, &name, credentials::New { url, expires_ns, sealed })
            }
            Request::GetCredential { name } => credentials::get(space, user, &name),
            Request::DeleteCredential { name } => credentials::delete(space, user, &name),
        }
    }
}
