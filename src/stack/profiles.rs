//! `manifests/profiles.yaml`: how big each part is, embedded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use clap::ValueEnum;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::component::ComponentName;
use super::resources::Resources;

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
pub struct ReplicaSize {
    pub replicas: u32,
    pub cpu: Quantity,
    pub memory: Quantity,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSize {
    pub cpu: Quantity,
    pub memory: Quantity,
    pub storage: Quantity,
}

impl ReplicaSize {
    /// What one pod asks for.
    pub fn requests(&self) -> Resources {
        Resources::of(Some(&self.cpu), Some(&self.memory))
    }

    /// As chart values.
    pub fn resources(&self) -> Value {
        resources(&self.cpu, &self.memory)
    }
}

impl DatabaseSize {
    /// What its pod asks for.
    pub fn requests(&self) -> Resources {
        Resources::of(Some(&self.cpu), Some(&self.memory))
    }

    /// As chart values.
    pub fn resources(&self) -> Value {
        resources(&self.cpu, &self.memory)
    }
}

fn resources(cpu: &Quantity, memory: &Quantity) -> Value {
    json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}})
}

impl Profile {
    /// The size of a component, as the component itself describes it.
    ///
    /// # Panics
    /// When `manifests/profiles.yaml` holds no such size, which a test of each component rules out.
    pub fn size_of<T: DeserializeOwned>(self, component: ComponentName) -> T {
        type Sizes = BTreeMap<ComponentName, Value>;
        static PROFILES: LazyLock<BTreeMap<Profile, Sizes>> = LazyLock::new(|| {
            serde_saphyr::from_str(include_str!("../../manifests/profiles.yaml"))
                .expect("manifests/profiles.yaml is checked by a test")
        });
        let size = PROFILES.get(&self).and_then(|sizes| sizes.get(&component));
        let size = size.expect("manifests/profiles.yaml names every component in every profile");
        serde_json::from_value(size.clone()).expect("manifests/profiles.yaml is checked by a test")
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
