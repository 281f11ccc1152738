//! The checks of the data lake that `install` does not wait for.

use anyhow::{Context, Result};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::components::healthy::Healthy;
use crate::engine::{Check, Id, Node, Observation, Severity};
use crate::error::Diagnosis;
use crate::output::units::{age, bytes};
use crate::stack::Stack;

use super::accounts::ROLES;
use super::client::{Disk, Measurement};
use super::{Datalake, client, reader};

const NEEDS: &[Id] = &[Id("datalake.index")];

pub fn nodes() -> Vec<Node<Stack>> {
    vec![
        Node::check(Healthy { component: &Datalake, id: Id("datalake.healthy"), needs: NEEDS }),
        Node::check(Disks),
        Node::check(Growth),
        Node::check(Certificates),
        Node::check(Privileges),
    ]
}

struct Disks;

#[async_trait]
impl Check<Stack> for Disks {
    fn id(&self) -> Id {
        Id("datalake.disk")
    }

    fn needs(&self) -> &'static [Id] {
        NEEDS
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let disks = reader(stack).await?.disks().await?;
        Ok(match disks.iter().find_map(full) {
            Some(diagnosis) => Observation::Blocked(diagnosis),
            None => {
                let least = disks.iter().map(|disk| disk.available).min().unwrap_or_default();
                Observation::Equal(format!("at least {} left on each disk", bytes(least)))
            }
        })
    }
}

/// What happens on a disk with too little space left.
fn full(disk: &Disk) -> Option<Diagnosis> {
    let consequence = if disk.available < disk.flood_stage {
        "it stores nothing any more"
    } else if disk.available < disk.high_watermark {
        "it stops to store at {flood}"
    } else {
        return None;
    };
    let consequence = consequence.replace("{flood}", &bytes(disk.flood_stage));
    let cause = format!("{} of {} left; {consequence}", bytes(disk.available), bytes(disk.total));
    let hint = "enlarge the volume, or delete data: docs/guides/production.md";
    Some(Diagnosis::new(cause, hint).of(&disk.node))
}

struct Growth;

/// The time before the disks are full at which this check begins to warn.
const NOTICE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The least period that says something about the growth.
const PERIOD: SignedDuration = SignedDuration::from_hours(24);

#[async_trait]
impl Check<Stack> for Growth {
    fn id(&self) -> Id {
        Id("datalake.growth")
    }

    fn needs(&self) -> &'static [Id] {
        NEEDS
    }

    fn severity(&self) -> Severity {
        Severity::Warning
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let elasticsearch = reader(stack).await?;
        let (first, last) =
            tokio::try_join!(elasticsearch.measurement("asc"), elasticsearch.measurement("desc"))?;
        let full = first.zip(last).map(|(first, last)| (last.at, fills_in(first, last)));
        Ok(match full {
            Some((at, Some(rest))) if rest < NOTICE => Observation::blocked(
                format!(
                    "the disks are full in {}, on {}, if the data lake grows as in the last week",
                    age(rest.unsigned_abs()),
                    (at + rest).strftime("%Y-%m-%d")
                ),
                "enlarge the volumes, or delete data: docs/guides/production.md",
            ),
            Some((at, Some(rest))) => Observation::Equal(format!(
                "the disks are full after {} at the growth of the last week",
                (at + rest).strftime("%Y-%m-%d")
            )),
            _ => Observation::Equal("no growth that fills the disks".into()),
        })
    }
}

/// The time from the last measurement until nothing is left, at the growth between the two.
fn fills_in(first: Measurement, last: Measurement) -> Option<SignedDuration> {
    let period = last.at.duration_since(first.at);
    let grown = last.bytes.checked_sub(first.bytes).filter(|grown| *grown > 0)?;
    if period < PERIOD {
        return None;
    }
    let seconds = period.as_secs_f64() * last.free_bytes as f64 / grown as f64;
    // beyond a century nothing is known
    (seconds < 3.0e9).then(|| SignedDuration::from_secs(seconds as i64))
}

struct Certificates;

/// The operator renews a certificate a day before it ends.
const RENEWED_BEFORE: SignedDuration = SignedDuration::from_hours(23);

#[async_trait]
impl Check<Stack> for Certificates {
    fn id(&self) -> Id {
        Id("datalake.certificates")
    }

    fn needs(&self) -> &'static [Id] {
        NEEDS
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let ends = reader(stack).await?.certificates_end().await?;
        let Some(end) = ends else { return Ok(Observation::Equal("no certificates".into())) };
        let rest = end.duration_since(Timestamp::now());
        Ok(if rest < RENEWED_BEFORE {
            let when = match rest.is_negative() {
                true => format!("ended {} ago", age(rest.unsigned_abs())),
                false => format!("ends in {}", age(rest.unsigned_abs())),
            };
            Observation::blocked(
                format!(
                    "a certificate of Elasticsearch {when}; the ECK operator should have renewed it"
                ),
                "check the operator: kubectl logs -n elastic-system statefulset/elastic-operator",
            )
        } else {
            Observation::Equal(format!("valid until {}", end.strftime("%Y-%m-%d")))
        })
    }
}

struct Privileges;

#[async_trait]
impl Check<Stack> for Privileges {
    fn id(&self) -> Id {
        Id("datalake.privileges")
    }

    fn needs(&self) -> &'static [Id] {
        NEEDS
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let roles: Value = serde_saphyr::from_str(ROLES).context("manifests/roles.yml")?;
        for (user, account) in
            [("dashboards", reader(stack).await?), ("lastack", client(stack).await?)]
        {
            let found = account.privileges().await?;
            if let Some(more) = beyond(&found, &roles[user]) {
                return Ok(Observation::Blocked(
                    Diagnosis::new(
                        format!("has the privilege {more}, which its role does not give"),
                        "find the role that gives it: GET /_security/role with the account `elastic`",
                    )
                    .of(format!("account {user}")),
                ));
            }
        }
        Ok(Observation::Equal("the accounts have the privileges of their roles only".into()))
    }
}

/// A privilege that an account has and its role does not name.
fn beyond(found: &Value, role: &Value) -> Option<String> {
    let texts = |list: &Value| -> Vec<String> {
        let items = list.as_array().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(Into::into)).collect()
    };
    let allowed = texts(&role["cluster"]);
    if let Some(more) = texts(&found["cluster"]).into_iter().find(|one| !allowed.contains(one)) {
        return Some(format!("{more} on the cluster"));
    }
    let of_role: Vec<(String, String)> = pairs(&role["indices"]);
    pairs(&found["indices"])
        .into_iter()
        .find(|pair| !of_role.contains(pair))
        .map(|(index, privilege)| format!("{privilege} on {index}"))
}

/// Each index with each of its privileges.
fn pairs(indices: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let of_entry = |entry: &Value| -> Vec<(String, String)> {
        let privileges = list(&entry["privileges"]);
        let names = list(&entry["names"]);
        let of_name = |name: &Value| {
            privileges.iter().map(move |one| (text(name), text(one))).collect::<Vec<_>>()
        };
        names.iter().flat_map(of_name).collect()
    };
    list(indices).iter().flat_map(of_entry).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn measured(day: i64, bytes: u64, free_bytes: u64) -> Measurement {
        let at = Timestamp::from_second(day * 86_400).unwrap();
        Measurement { at, bytes, free_bytes }
    }

    #[test]
    fn disks_are_full_when_the_growth_reaches_the_rest() {
        let days = |first, last| fills_in(first, last).map(|rest| rest.as_hours() / 24);
        assert_eq!(days(measured(0, 100, 1000), measured(5, 200, 900)), Some(45));
        assert_eq!(days(measured(0, 200, 1000), measured(5, 100, 900)), None);
        assert_eq!(days(measured(0, 100, 1000), measured(0, 200, 900)), None, "too short a period");
    }

    #[test]
    fn disk_is_full_below_the_watermark_at_which_elasticsearch_moves_shards() {
        let disk = |available| Disk {
            node: "es-0".into(),
            total: 100 << 30,
            available,
            high_watermark: 2 << 30,
            flood_stage: 1 << 30,
        };
        assert_eq!(full(&disk(3 << 30)), None);
        assert!(full(&disk(3 << 29)).unwrap().to_string().contains("stops to store at 1"));
        assert!(full(&disk(1 << 29)).unwrap().to_string().ends_with("stores nothing any more"));
    }

    #[test]
    fn privilege_beyond_the_role_is_named() {
        let role = json!({"cluster": ["monitor"], "indices": [{"names": ["a", "b"], "privileges": ["read"]}]});
        assert_eq!(beyond(&role, &role), None);
        let more =
            json!({"cluster": [], "indices": [{"names": ["b"], "privileges": ["read", "write"]}]});
        assert_eq!(beyond(&more, &role).unwrap(), "write on b");
        assert_eq!(beyond(&json!({"cluster": ["all"]}), &role).unwrap(), "all on the cluster");
    }
}
