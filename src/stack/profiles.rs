//! The embedded `manifests/profiles.yaml`: the size of each component per profile.

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
    /// One small replica of each component
    #[default]
    Laptop,
    /// One replica of each component, sized for a course
    Classroom,
    /// Three data nodes, and several replicas of stateless components
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
    /// The resource requests of one Pod.
    pub fn requests(&self) -> Resources {
        Resources::of(Some(&self.cpu), Some(&self.memory))
    }

    /// As chart values.
    pub fn resources(&self) -> Value {
        resources(&self.cpu, &self.memory)
    }
}

impl DatabaseSize {
    /// The resource requests of its Pod.
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
    /// The size of a component, in the component's own type.
    ///
    /// # Panics
    /// When `manifests/profiles.yaml` has no such size. A test of each component excludes this.
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
