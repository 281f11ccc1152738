//! The lock for changes in a namespace: a Lease, which its holder renews, and which expires when the holder is killed.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::error::{Failure, forbidden};

use super::Cluster;
use super::access::{Rule, Rules};
use super::object::{FIELD_MANAGER, MANAGED_BY, PART_OF, is_not_found};
use super::runtime::{self, Mark};
use super::wait::{State, Wait, Waited};

/// The name of the Lease.
pub const NAME: &str = "lastack";
const GROUP: &str = "coordination.k8s.io";
const WHY: &str = "the lock against other commands that change the stack";
/// The permissions to take the lock and to release it.
pub const RULES: Rules = &[
    Rule::new(GROUP, "leases", &["create"], WHY),
    Rule::new(GROUP, "leases", &["delete", "get", "update"], WHY).named(&[NAME]),
];
/// A Lease expires when it was not renewed for this time. Every waiting command measures it with its own clock,
/// because the clocks of users' machines differ.
const DURATION: Duration = Duration::from_secs(30);
/// The interval between two renewals.
const RENEWAL: Duration = Duration::from_secs(8);
/// The interval after a failed renewal.
const RETRY: Duration = Duration::from_secs(2);
/// The timeout of a renewal.
const REQUEST: Duration = Duration::from_secs(6);
/// The time for the release of a Lease at the end of the program.
const RELEASE: Duration = Duration::from_secs(3);
/// A Lease that was renewed this long ago has expired, even if the clocks differ.
const CERTAINLY_EXPIRED: Duration = Duration::from_secs(300);

/// The tasks that renew and release Leases of this program.
static TASKS: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// A held lock. Dropping it releases the Lease; [`released`] waits for this.
pub struct Lock {
    /// Whether another command held the lock before.
    pub has_waited: bool,
    /// Why there is no lock: the user lacks a permission.
    pub not_permitted: Option<String>,
    held: Option<Held>,
}

struct Held {
    /// Without a mark, the Lease of a killed command has to expire.
    _mark: Option<Mark>,
    /// Resolves with the new holder when another command took over.
    lost: tokio::sync::Mutex<oneshot::Receiver<String>>,
    /// The task releases the Lease when this is dropped.
    _release: oneshot::Sender<()>,
}

impl Lock {
    fn none(not_permitted: Option<String>) -> Self {
        Self { has_waited: false, not_permitted, held: None }
    }

    /// Runs a change. Stops it when the lock is lost.
    ///
    /// # Errors
    /// When the change fails, or another command took the lock, because the API server could not be reached for long.
    pub async fn during<T>(&self, change: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(held) = &self.held else { return change.await };
        let mut lost = held.lost.lock().await;
        tokio::select! {
            Ok(holder) = &mut *lost => Err(Failure::failed(format!(
                "the lock of this command expired, and {} took it", described(&holder)
            ))
            .hint("repeat the command when the other one has ended")
            .into()),
            done = change => done,
        }
    }
}

/// Takes the lock of the cluster's namespace. Waits for another holder until the deadline. A missing namespace has no
/// lock, and neither has a user without permission for Leases.
///
/// # Errors
/// When another command holds the lock at the deadline, and when the API server fails.
pub async fn take(
    cluster: &Cluster,
    holder: &str,
    deadline: Option<Instant>,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Lock> {
    let candidate = Candidate { api: cluster.api(), holder, seen: Mutex::default() };
    let first = match candidate.attempt().await {
        Ok(first) => first,
        Err(error) => match forbidden(&error) {
            Some(sentence) => return Ok(Lock::none(Some(sentence.into()))),
            None => return Err(error),
        },
    };
    let (lease, has_waited) = match first {
        Attempt::NoNamespace => return Ok(Lock::none(None)),
        Attempt::Held(lease) => (*lease, false),
        Attempt::Busy(_) => match wait(cluster, &candidate, deadline, say).await? {
            Some(lease) => (lease, true),
            None => return Ok(Lock::none(None)),
        },
    };
    let (lost, losing) = oneshot::channel();
    let (release, released) = oneshot::channel();
    let mark = id_of(holder).and_then(|id| Mark::set(id).ok());
    lock(&TASKS).push(tokio::spawn(keep(candidate.api, lease, released, lost)));
    let held = Held { _mark: mark, lost: tokio::sync::Mutex::new(losing), _release: release };
    Ok(Lock { has_waited, not_permitted: None, held: Some(held) })
}

/// Waits for another holder. None: the namespace was deleted.
async fn wait(
    cluster: &Cluster,
    candidate: &Candidate<'_>,
    deadline: Option<Instant>,
    say: &(dyn Fn(&str) + Sync),
) -> Result<Option<Lease>> {
    let taken = Mutex::new(None);
    let object = format!("the lock of namespace {}", cluster.namespace);
    let look = || async {
        Ok(match candidate.attempt().await? {
            Attempt::Held(lease) => {
                *lock(&taken) = Some(*lease);
                State::Ready(String::new())
            }
            Attempt::NoNamespace => State::Ready(String::new()),
            Attempt::Busy(reason) => State::Waiting(reason),
        })
    };
    match (Wait { object: &object, deadline, say }).until(look).await? {
        Waited::Ready(_) => Ok(lock(&taken).take()),
        Waited::NotWaited(reason) => {
            Err(Failure::failed(format!("namespace {}: {reason}", cluster.namespace))
                .hint("repeat the command without `--no-wait` to wait for it")
                .into())
        }
    }
}

/// Waits until the Leases of dropped locks are released.
pub async fn released() {
    let tasks = std::mem::take(&mut *lock(&TASKS));
    for task in tasks {
        // a Lease that cannot be released expires
        let _ = timeout(RELEASE, task).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command that does not hold the lock yet.
struct Candidate<'a> {
    api: Api<Lease>,
    holder: &'a str,
    /// The version of another holder's Lease, and when this command saw it first.
    seen: Mutex<Option<(Option<String>, Instant)>>,
}

enum Attempt {
    Held(Box<Lease>),
    NoNamespace,
    Busy(String),
}

impl Candidate<'_> {
    async fn attempt(&self) -> Result<Attempt> {
        let written = match self.api.get_opt(NAME).await? {
            None => self.api.create(&params(), &new(self.holder)).await,
            Some(lease) if self.is_free(&lease) => {
                let mut taken = new(self.holder);
                taken.metadata.resource_version = lease.metadata.resource_version;
                self.api.replace(NAME, &params(), &taken).await
            }
            Some(lease) => return Ok(Attempt::Busy(why_busy(&lease))),
        };
        match written {
            Ok(lease) => Ok(Attempt::Held(Box::new(lease))),
            Err(error) if is_not_found(&error) => Ok(Attempt::NoNamespace),
            Err(error) if is_conflict(&error) => {
                Ok(Attempt::Busy("another command takes the lock at this moment".into()))
            }
            Err(error) => Err(error).context("lease lastack"),
        }
    }

    /// Whether the holder released the Lease, was killed on this machine, or has not renewed the Lease for too long.
    fn is_free(&self, lease: &Lease) -> bool {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        if holder.is_empty() || id_of(holder).is_some_and(runtime::was_killed) {
            return true;
        }
        let renewed = spec.and_then(|spec| spec.renew_time.as_ref());
        let age = renewed.map(|time| Timestamp::now().duration_since(time.0).as_secs());
        if age.is_none_or(|seconds| seconds > CERTAINLY_EXPIRED.as_secs() as i64) {
            return true;
        }
        let version = &lease.metadata.resource_version;
        let mut seen = lock(&self.seen);
        match seen.as_ref().filter(|(before, _)| before == version) {
            Some((_, since)) => since.elapsed() >= DURATION,
            None => {
                *seen = Some((version.clone(), Instant::now()));
                false
            }
        }
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() }
}

fn new(holder: &str) -> Lease {
    let (part_of, lastack) = PART_OF;
    let now = MicroTime(Timestamp::now());
    let labels = [(part_of, lastack), (MANAGED_BY, FIELD_MANAGER)];
    let mut lease = Lease {
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(DURATION.as_secs() as i32),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            ..LeaseSpec::default()
        }),
        ..Lease::default()
    };
    lease.metadata.name = Some(NAME.into());
    lease.metadata.labels =
        Some(labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect());
    lease
}

fn holder_of(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref()
}

fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Who holds the Lease since when.
fn why_busy(lease: &Lease) -> String {
    let acquired = lease.spec.as_ref().and_then(|spec| spec.acquire_time.as_ref());
    let since = acquired.map(|time| format!(" since {:.0}", time.0)).unwrap_or_default();
    format!(
        "{} has been changing the stack{since}; its lease {NAME} expires {} s after its last renewal",
        described(holder_of(lease).unwrap_or_default()),
        DURATION.as_secs()
    )
}

/// User, verb and id of an identity that [`identity`] created.
fn parts(holder: &str) -> Option<(&str, &str, &str)> {
    let mut words = holder.rsplitn(3, '/');
    let (id, verb, user) = (words.next()?, words.next()?, words.next()?);
    Some((user, verb, id))
}

fn id_of(holder: &str) -> Option<&str> {
    parts(holder).map(|(_, _, id)| id)
}

fn described(holder: &str) -> String {
    match parts(holder) {
        Some((user, verb, _)) => format!("`{verb}` of {user}"),
        None => format!("holder {holder}"),
    }
}

/// The identity of this run of a verb, which no other run has.
pub fn identity(user: &str, verb: &str) -> String {
    format!("{user}/{verb}/{:08x}", rand::random::<u32>())
}

/// Renews the Lease until `released` resolves, and then deletes it.
async fn keep(
    api: Api<Lease>,
    mut lease: Lease,
    mut released: oneshot::Receiver<()>,
    lost: oneshot::Sender<String>,
) {
    let holder = holder_of(&lease).unwrap_or_default().to_string();
    let mut pause = RENEWAL;
    loop {
        let renewed = async {
            sleep(pause).await;
            timeout(REQUEST, renew(&api, &lease, &holder)).await
        };
        let renewed = tokio::select! {
            _ = &mut released => break,
            renewed = renewed => renewed,
        };
        pause = RETRY;
        match renewed {
            Ok(Ok(Renewal::Held(newer))) => (lease, pause) = (*newer, RENEWAL),
            Ok(Ok(Renewal::Lost(other))) => {
                // the receiver is gone when the command has just ended
                let _ = lost.send(other);
                return;
            }
            // the API server is slow or away
            Ok(Err(_)) | Err(_) => {}
        }
    }
    // a Lease that cannot be deleted expires
    let _ = delete(&api, &holder).await;
}

enum Renewal {
    Held(Box<Lease>),
    Lost(String),
}

async fn renew(api: &Api<Lease>, lease: &Lease, holder: &str) -> kube::Result<Renewal> {
    let mut newer = lease.clone();
    if let Some(spec) = &mut newer.spec {
        spec.renew_time = Some(MicroTime(Timestamp::now()));
    }
    match api.replace(NAME, &params(), &newer).await {
        Ok(lease) => Ok(Renewal::Held(Box::new(lease))),
        // a request without response may have arrived, and users may change other fields
        Err(error) if is_conflict(&error) => {
            let found = api.get(NAME).await?;
            Ok(match holder_of(&found) {
                Some(other) if other != holder => Renewal::Lost(other.into()),
                _ => Renewal::Held(Box::new(found)),
            })
        }
        Err(error) if is_not_found(&error) => {
            let lease = api.create(&params(), &new(holder)).await?;
            Ok(Renewal::Held(Box::new(lease)))
        }
        Err(error) => Err(error),
    }
}

async fn delete(api: &Api<Lease>, holder: &str) -> kube::Result<()> {
    let Some(lease) = api.get_opt(NAME).await? else { return Ok(()) };
    if holder_of(&lease) != Some(holder) {
        return Ok(());
    }
    let this = Preconditions {
        resource_version: lease.metadata.resource_version,
        uid: lease.metadata.uid,
    };
    api.delete(NAME, &DeleteParams::default().preconditions(this)).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_described_by_verb_and_user() {
        assert_eq!(described(&identity("ada@lab", "install")), "`install` of ada@lab");
        assert_ne!(identity("ada@lab", "install"), identity("ada@lab", "install"));
        assert_eq!(described("another-controller"), "holder another-controller");
    }
}
