//! `manifests/profiles.yaml`: how big each part is, embedded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use clap::ValueEnum;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::resources::Resources;
use super::settings::TestCourse;
use super::versions::Component;

#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// One small node of everything
    #[default]
    Laptop,
    /// One node of everything, room for a course
    Classroom,
    /// Three data nodes, replicas of everything that can have them
    Production,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    pub datalake: DatalakeSize,
    pub lrs: ReplicaSize,
    pub lms: LmsSize,
    pub dataviz: DatavizSize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatalakeSize {
    pub nodes: u32,
    pub cpu: Quantity,
    pub memory: Quantity,
    pub storage: Quantity,
    /// Settings of Elasticsearch that only this size has.
    #[serde(default)]
    pub config: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaSize {
    pub replicas: u32,
    pub cpu: Quantity,
    pub memory: Quantity,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatavizSize {
    pub web: ReplicaSize,
    pub postgresql: DatabaseSize,
    /// Background workers, each as big as a pod of the web server; with any of them come a cache and a scheduler.
    pub workers: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LmsSize {
    pub web: ReplicaSize,
    pub postgresql: DatabaseSize,
    /// Of the volume with the files of courses.
    pub storage: Quantity,
    /// The test course that is made unless the settings say otherwise.
    #[serde(default)]
    pub course: TestCourse,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSize {
    pub cpu: Quantity,
    pub memory: Quantity,
    pub storage: Quantity,
}

impl ReplicaSize {
    /// As chart values.
    pub fn resources(&self) -> Value {
        resources(&self.cpu, &self.memory)
    }
}

impl DatabaseSize {
    /// As chart values.
    pub fn resources(&self) -> Value {
        resources(&self.cpu, &self.memory)
    }
}

fn resources(cpu: &Quantity, memory: &Quantity) -> Value {
    json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}})
}

impl Profile {
    pub fn sizes(self) -> &'static Sizes {
        static PROFILES: LazyLock<BTreeMap<Profile, Sizes>> = LazyLock::new(|| {
            serde_saphyr::from_str(include_str!("../../manifests/profiles.yaml"))
                .expect("manifests/profiles.yaml is checked by a test")
        });
        PROFILES.get(&self).expect("manifests/profiles.yaml names every profile")
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Laptop => "laptop",
            Self::Classroom => "classroom",
            Self::Production => "production",
        }
    }

    pub fn larger(self) -> Option<Self> {
        match self {
            Self::Laptop => Some(Self::Classroom),
            Self::Classroom => Some(Self::Production),
            Self::Production => None,
        }
    }
}

impl Sizes {
    /// The pods of each component: what one asks of the cluster, and how many there are.
    pub fn pods(&self) -> [(Component, Resources, u32); 6] {
        let of = |cpu, memory| Resources::of(Some(cpu), Some(memory));
        let (datalake, lrs, lms, dataviz) = (&self.datalake, &self.lrs, &self.lms, &self.dataviz);
        [
            (Component::Datalake, of(&datalake.cpu, &datalake.memory), datalake.nodes),
            (Component::Lrs, of(&lrs.cpu, &lrs.memory), lrs.replicas),
            (Component::Lms, of(&lms.web.cpu, &lms.web.memory), lms.web.replicas),
            (Component::Lms, of(&lms.postgresql.cpu, &lms.postgresql.memory), 1),
            (
                Component::Dataviz,
                of(&dataviz.web.cpu, &dataviz.web.memory),
                dataviz.web.replicas + dataviz.workers,
            ),
            (Component::Dataviz, of(&dataviz.postgresql.cpu, &dataviz.postgresql.memory), 1),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_sizes_and_a_data_lake_that_keeps_its_quorum() {
        for profile in Profile::value_variants() {
            let sizes = profile.sizes();
            assert!(
                [1, 3].contains(&sizes.datalake.nodes),
                "{}: two nodes lose their quorum with one",
                profile.name()
            );
            assert!(
                sizes
                    .pods()
                    .iter()
                    .all(|(_, requests, count)| *requests > Resources::default() && *count > 0)
            );
        }
    }
}
