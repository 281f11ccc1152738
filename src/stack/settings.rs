//! What a stack was asked to be: `lastack.yaml`, the flags of `install`, and the ConfigMap that remembers
//! both, so that a later `install` without flags repairs the stack instead of changing it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use clap::ValueEnum;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Failure;

use super::component::ComponentName;
use super::profiles::Profile;

const KEY: &str = "lastack.yaml";

/// Every field may be left out; what is left out keeps its value of the last install, or its default.
#[derive(Debug, Default, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// What the stack consists of. None: of everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<BTreeSet<ComponentName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,
    #[serde(default, skip_serializing_if = "IngressSettings::is_empty")]
    pub ingress: IngressSettings,
    /// Where all images come from, instead of their own registries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_registry: Option<String>,
    /// Another place for a component's chart: a directory, an archive, or an `oci://` or `https://` address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub charts: BTreeMap<ComponentName, String>,
    /// Chart values that go over ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<ComponentName, Value>,
    #[serde(default, skip_serializing_if = "LmsSettings::is_empty")]
    pub lms: LmsSettings,
    /// A file or an address to take Moodle's xAPI plugin from in this run; it is then kept in the cluster.
    #[serde(skip)]
    pub plugin: Option<String>,
}

/// What Moodle sends, and the course to try it with.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize, Serialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LmsSettings {
    /// Size of Moodle's test course
    #[arg(long, value_enum, value_name = "SIZE", help_heading = "Moodle")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub course: Option<TestCourse>,
    /// When events are sent; `--background` and `--immediate` on the command line
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sending: Option<Sending>,
    /// Send the learners' names [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Moodle")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_names: Option<bool>,
    /// Send the learners' user names instead of their numbers [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Moodle")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_usernames: Option<bool>,
    /// Send the learners' e-mail addresses instead of their numbers [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Moodle")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_emails: Option<bool>,
    /// Send what guests do [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Moodle")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_guests: Option<bool>,
}

/// A size that Moodle's course generator knows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
pub enum TestCourse {
    /// No test course
    #[default]
    #[serde(rename = "none")]
    #[value(name = "none")]
    None,
    #[value(name = "XS")]
    XS,
    #[value(name = "S")]
    S,
    #[value(name = "M")]
    M,
    #[value(name = "L")]
    L,
    #[value(name = "XL")]
    XL,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sending {
    /// By Moodle's cron, every minute
    #[default]
    Background,
    /// Within the page request: an LRS that is away costs the events and slows the pages
    Immediate,
}

impl LmsSettings {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn overridden_by(self, other: Self) -> Self {
        let Self { course, sending, send_names, send_usernames, send_emails, send_guests } = other;
        Self {
            course: course.or(self.course),
            sending: sending.or(self.sending),
            send_names: send_names.or(self.send_names),
            send_usernames: send_usernames.or(self.send_usernames),
            send_emails: send_emails.or(self.send_emails),
            send_guests: send_guests.or(self.send_guests),
        }
    }
}

/// How the stack can be reached from outside the cluster.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Expose {
    /// Not at all: by port-forward only
    #[default]
    None,
    /// Services of type LoadBalancer
    Loadbalancer,
    /// Services of type NodePort
    Nodeport,
    /// An Ingress for each part, under a domain of yours (`--domain`)
    Ingress,
}

impl Expose {
    pub fn service_type(self) -> &'static str {
        match self {
            Self::None | Self::Ingress => "ClusterIP",
            Self::Loadbalancer => "LoadBalancer",
            Self::Nodeport => "NodePort",
        }
    }
}

/// The names under which an Ingress controller serves the parts.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize, Serialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IngressSettings {
    /// Domain for `--expose ingress`: the parts are lms.DOMAIN, lrs.DOMAIN and dataviz.DOMAIN
    #[arg(long, value_name = "DOMAIN", help_heading = "Ingress")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// IngressClass; an empty one is the cluster's default
    #[arg(long = "ingress-class", value_name = "CLASS", help_heading = "Ingress")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Secret of the namespace with a certificate for all three names; an empty one is plain HTTP
    #[arg(long, value_name = "SECRET", help_heading = "Ingress")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_secret: Option<String>,
}

impl IngressSettings {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn overridden_by(self, other: Self) -> Self {
        let Self { domain, class_name, tls_secret } = other;
        Self {
            domain: domain.or(self.domain),
            class_name: class_name.or(self.class_name),
            tls_secret: tls_secret.or(self.tls_secret),
        }
    }

    /// What cannot be the name of a host.
    fn fault(&self) -> Option<String> {
        let domain = self.domain.as_deref().unwrap_or_default();
        let is_label = |label: &str| {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            !label.is_empty()
                && label.len() <= 63
                && label.chars().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        (!domain.split('.').all(is_label) || domain.len() > 240)
            .then(|| format!("`{domain}` is not the name of a domain"))
    }
}

impl Settings {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
        let mut settings: Self = serde_saphyr::from_str(&text).map_err(|error| {
            Failure::usage(format!("{} is not a lastack.yaml: {}", path.display(), yaml_fault(&error)))
                .hint("it may have the keys components, profile, expose, ingress, imageRegistry, charts, values and lms")
        })?;
        // a later install may be started in another directory
        for place in settings.charts.values_mut() {
            if let Ok(there) = std::fs::canonicalize(&*place) {
                *place = there.to_string_lossy().into_owned();
            }
        }
        Ok(settings)
    }

    /// Nothing is left out: what an install does not know, it would take away.
    pub fn from_config_map(map: &ConfigMap) -> Result<Self> {
        serde_saphyr::from_str(remembered(map)).map_err(|error| {
            let (name, namespace) = (map.metadata.name.as_deref().unwrap_or("?"), map.metadata.namespace.as_deref().unwrap_or("?"));
            Failure::failed(format!("ConfigMap {name} does not hold settings of this version of kubectl-lastack: {}", yaml_fault(&error)))
                .hint(format!("use the version that installed the stack, or take out what is named: kubectl edit configmap {name} -n {namespace}"))
                .into()
        })
    }

    /// What is understood of them, and the names of what is not: enough to look at a stack, and to take it away.
    pub fn understood(map: &ConfigMap) -> (Self, Vec<String>) {
        if let Ok(settings) = Self::from_config_map(map) {
            return (settings, Vec::new());
        }
        let mut document: serde_json::Map<String, Value> =
            serde_saphyr::from_str(remembered(map)).unwrap_or_default();
        let mut unknown = Vec::new();
        document.retain(|key, value| keep_understood(key, value, &mut unknown));
        if unknown.is_empty() {
            unknown.push(KEY.into());
        }
        (serde_json::from_value(Value::Object(document)).unwrap_or_default(), unknown)
    }

    /// The data of the ConfigMap that remembers these settings.
    pub fn to_data(&self) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::from([(
            KEY.to_string(),
            serde_saphyr::to_string(self).context("settings cannot be written as YAML")?,
        )]))
    }

    /// These settings, with everything that `other` says put over them. Names every field, so that none is forgotten.
    pub fn overridden_by(mut self, other: Settings) -> Self {
        let Settings {
            components,
            profile,
            expose,
            ingress,
            image_registry,
            charts,
            values,
            lms,
            plugin,
        } = other;
        self.charts.extend(charts);
        self.charts.retain(|_, place| !place.is_empty());
        self.values.extend(values);
        // a key with nothing after it, as YAML has it when all that was below is commented out
        self.values
            .values_mut()
            .filter(|values| values.is_null())
            .for_each(|values| *values = json!({}));
        Self {
            components: components.or(self.components),
            profile: profile.or(self.profile),
            expose: expose.or(self.expose),
            ingress: self.ingress.overridden_by(ingress),
            image_registry: image_registry
                .or(self.image_registry)
                .filter(|registry| !registry.is_empty()),
            charts: self.charts,
            values: self.values,
            lms: self.lms.overridden_by(lms),
            plugin: plugin.filter(|place| !place.is_empty()).or(self.plugin),
        }
    }

    /// Whether a component is part of the stack.
    pub fn has(&self, component: ComponentName) -> bool {
        self.components.as_ref().is_none_or(|components| components.contains(&component))
    }

    /// The chart values that the user gave for a component.
    pub fn values_of(&self, component: ComponentName) -> Option<&Value> {
        self.values.get(&component)
    }

    pub fn profile(&self) -> Profile {
        self.profile.unwrap_or_default()
    }

    pub fn expose(&self) -> Expose {
        self.expose.unwrap_or_default()
    }

    /// The chart values that open a component to the outside, or do not. All our charts have the same.
    pub fn exposure(&self, component: ComponentName) -> Value {
        let ingress = match &self.ingress.domain {
            Some(domain) if self.expose() == Expose::Ingress => json!({
                "enabled": true,
                "host": format!("{}.{domain}", component.as_str()),
                "className": self.ingress.class_name.as_deref().unwrap_or_default(),
                "tlsSecret": self.ingress.tls_secret.as_deref().unwrap_or_default(),
            }),
            _ => json!({"enabled": false}),
        };
        json!({"service": {"type": self.expose().service_type()}, "ingress": ingress})
    }

    /// What was asked for and cannot be, taken together with what an earlier install was asked.
    pub fn check(&self) -> Result<()> {
        match (self.expose(), &self.ingress.domain) {
            (Expose::Ingress, None) => Err(Failure::usage("`--expose ingress` needs the domain under which the parts are reached")
                .hint("`--domain example.org` makes lms.example.org, lrs.example.org and dataviz.example.org")
                .into()),
            (Expose::Ingress, Some(_)) => self.ingress.fault().map_or(Ok(()), |fault| {
                Err(Failure::usage(fault).hint("letters a to z, digits and `-` between dots, such as la.example.org").into())
            }),
            _ => Ok(()),
        }
    }
}

fn remembered(map: &ConfigMap) -> &str {
    map.data.as_ref().and_then(|data| data.get(KEY)).map_or("{}", String::as_str)
}

/// Takes out of a key what no setting can be made of, and says whether anything is left of it.
fn keep_understood(key: &str, value: &mut Value, unknown: &mut Vec<String>) -> bool {
    let is_understood =
        |value: Value| serde_json::from_value::<Settings>(json!({key: value})).is_ok();
    let mut keep = |is_kept: bool, name: String| {
        if !is_kept {
            unknown.push(name);
        }
        is_kept
    };
    match value {
        value if is_understood(value.clone()) => {}
        Value::Object(map) if is_understood(json!({})) => map.retain(|name, inner| {
            keep(is_understood(json!({name: inner})), format!("{key}.{name}"))
        }),
        Value::Array(list) if is_understood(json!([])) => {
            list.retain(|item| keep(is_understood(json!([item])), format!("{item} in {key}")))
        }
        _ => return keep(false, key.to_string()),
    }
    true
}

/// What is wrong with a YAML text, with the line it is in, but without a second `error:`.
pub fn yaml_fault(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("error: ").unwrap_or(&text).to_string()
}

/// Puts `over` on `values` as helm does: maps are merged key by key, everything else replaces. A null stays, for helm to
/// take what the chart has away.
pub fn merge_values(values: &mut Value, over: &Value) {
    match (values, over) {
        (Value::Object(values), Value::Object(over)) => {
            for (key, value) in over {
                merge_values(values.entry(key).or_insert(Value::Null), value);
            }
        }
        (values, over) => *values = over.clone(),
    }
}

/// Takes away what was set to null.
pub fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(without_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_install_without_flags_keeps_what_was_asked_before() {
        let stored = Settings {
            profile: Some(Profile::Production),
            image_registry: Some("r".into()),
            ..Default::default()
        };
        assert_eq!(stored.clone().overridden_by(Settings::default()), stored);
        let asked = Settings {
            profile: Some(Profile::Laptop),
            image_registry: Some(String::new()),
            ..Default::default()
        };
        let settings = stored.overridden_by(asked);
        assert_eq!((settings.profile(), settings.image_registry), (Profile::Laptop, None));
    }

    #[test]
    fn an_empty_chart_is_ours_again_and_empty_values_are_none() {
        let stored = Settings {
            charts: BTreeMap::from([(
                ComponentName::new("lrs"),
                "oci://registry.example.org/ralph".into(),
            )]),
            values: BTreeMap::from([(ComponentName::new("lrs"), json!({"replicas": 2}))]),
            ..Default::default()
        };
        let settings = stored
            .overridden_by(serde_saphyr::from_str("charts: {lrs: ''}\nvalues: {lrs: }\n").unwrap());
        assert_eq!(settings.charts, BTreeMap::new());
        let mut values = json!({"replicas": 1});
        merge_values(&mut values, &settings.values[&ComponentName::new("lrs")]);
        assert_eq!(values, json!({"replicas": 1}), "what is left empty takes nothing of ours away");
    }

    #[test]
    fn settings_survive_the_config_map() {
        let settings = Settings {
            profile: Some(Profile::Classroom),
            lms: LmsSettings {
                course: Some(TestCourse::M),
                sending: Some(Sending::Immediate),
                send_names: Some(true),
                ..Default::default()
            },
            values: BTreeMap::from([(
                ComponentName::new("lrs"),
                json!({"resources": {"limits": {"memory": "1Gi"}}, "list": [1, "a"]}),
            )]),
            ..Default::default()
        };
        let map = ConfigMap { data: Some(settings.to_data().unwrap()), ..Default::default() };
        assert_eq!(Settings::from_config_map(&map).unwrap(), settings);
    }

    #[test]
    fn what_is_not_understood_of_the_config_map_is_named_and_the_rest_counts() {
        let understood = |text: &str| {
            let data = BTreeMap::from([(KEY.to_string(), text.to_string())]);
            Settings::understood(&ConfigMap { data: Some(data), ..Default::default() })
        };
        let newer = "profile: classroom\ncolour: {of: sky}\ncomponents: [lrs, portfolio]\nlms: {course: M, sendGrades: true}\n";
        let (settings, unknown) = understood(newer);
        assert_eq!(unknown, ["colour", "\"portfolio\" in components", "lms.sendGrades"]);
        assert_eq!(
            (settings.profile(), settings.lms.course),
            (Profile::Classroom, Some(TestCourse::M))
        );
        assert_eq!(settings.components, Some(BTreeSet::from([ComponentName::new("lrs")])));
        assert_eq!(understood("profile: laptop\n").1, Vec::<String>::new());
        assert_eq!(understood("profile: [\n"), (Settings::default(), vec![KEY.to_string()]));
    }

    #[test]
    fn every_part_has_a_name_of_its_own_under_the_domain_and_a_domain_is_needed() {
        let ingress = |domain: Option<&str>| Settings {
            expose: Some(Expose::Ingress),
            ingress: IngressSettings {
                domain: domain.map(str::to_string),
                tls_secret: Some("wild".into()),
                ..Default::default()
            },
            ..Default::default()
        };
        let of = |component| ingress(Some("la.example.org")).exposure(component);
        assert_eq!(
            of(ComponentName::new("lms"))["ingress"],
            json!({"enabled": true, "host": "lms.la.example.org", "className": "", "tlsSecret": "wild"})
        );
        assert_eq!(of(ComponentName::new("dataviz"))["ingress"]["host"], "dataviz.la.example.org");
        assert_eq!(of(ComponentName::new("lrs"))["service"]["type"], "ClusterIP");
        assert!(ingress(Some("la.example.org")).check().is_ok());
        for (domain, says) in [
            (None, "needs the domain"),
            (Some("https://la.example.org"), "not the name of a domain"),
            (Some(""), "not the name"),
        ] {
            let error = format!("{:#}", ingress(domain).check().unwrap_err());
            assert!(error.contains(says), "{error}");
        }
        // asked for once, and no longer
        let over = ingress(Some("la.example.org"))
            .overridden_by(Settings { expose: Some(Expose::None), ..Default::default() });
        assert_eq!(
            over.exposure(ComponentName::new("lms")),
            json!({"service": {"type": "ClusterIP"}, "ingress": {"enabled": false}})
        );
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "profil: laptop\n").unwrap();
        let error = format!("{:#}", Settings::read(file.path()).unwrap_err());
        assert!(error.contains("profil"), "{error}");
    }

    #[test]
    fn values_merge_as_helm_merges_them() {
        let mut values = json!({"a": {"b": 1, "c": 2}, "d": [1, 2]});
        merge_values(&mut values, &json!({"a": {"b": 3, "c": null}, "d": [4], "e": {"f": 5}}));
        assert_eq!(
            values,
            json!({"a": {"b": 3, "c": null}, "d": [4], "e": {"f": 5}}),
            "helm gives the default of a chart for what is not there"
        );
        without_nulls(&mut values);
        assert_eq!(values, json!({"a": {"b": 3}, "d": [4], "e": {"f": 5}}));
    }
}
