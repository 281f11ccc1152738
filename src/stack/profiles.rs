//! `manifests/profiles.yaml`: how big each part is, embedded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use clap::ValueEnum;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::resources::Resources;
use super::settings::TestCourse;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ValueEnum)]
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
    /// Background workers; with any of them come a cache and a scheduler.
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
            serde_saphyr::from_str(include_str!("../../manifests/profiles.yaml")).expect("manifests/profiles.yaml is checked by a test")
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
}

impl Sizes {
    /// What all pods of the stack ask of the cluster together.
    pub fn requests(&self) -> Resources {
        Resources::of(Some(&self.datalake.cpu), Some(&self.datalake.memory)) * self.datalake.nodes
            + Resources::of(Some(&self.lrs.cpu), Some(&self.lrs.memory)) * self.lrs.replicas
            + Resources::of(Some(&self.lms.web.cpu), Some(&self.lms.web.memory)) * self.lms.web.replicas
            + Resources::of(Some(&self.lms.postgresql.cpu), Some(&self.lms.postgresql.memory))
            + Resources::of(Some(&self.dataviz.web.cpu), Some(&self.dataviz.web.memory)) * (self.dataviz.web.replicas + self.dataviz.workers)
            + Resources::of(Some(&self.dataviz.postgresql.cpu), Some(&self.dataviz.postgresql.memory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_sizes_and_a_data_lake_that_keeps_its_quorum() {
        for profile in Profile::value_variants() {
            let sizes = profile.sizes();
            assert!([1, 3].contains(&sizes.datalake.nodes), "{}: two nodes lose their quorum with one", profile.name());
            assert!(sizes.requests() > Resources::default());
        }
    }
}
