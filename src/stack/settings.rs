//! Settings of a stack: `lastack.yaml`, the flags of `install`, and the ConfigMap that stores both. Because of the
//! ConfigMap, a later `install` without flags reconciles the stack and does not reset it.

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
use super::resources::Resources;

/// The key of the settings in the ConfigMap.
pub const KEY: &str = "lastack.yaml";

/// Every field is optional. An omitted field keeps its value from the last install, or its default.
#[derive(Debug, Default, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// The components of the stack. None: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<BTreeSet<ComponentName>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,
    #[serde(default, skip_serializing_if = "IngressSettings::is_empty")]
    pub ingress: IngressSettings,
    /// The registry of all images, instead of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_registry: Option<String>,
    /// Another chart for a component: a directory, an archive, or an `oci://` or `https://` URL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub charts: BTreeMap<ComponentName, String>,
    /// Chart values that override the defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<ComponentName, Value>,
    #[serde(default, skip_serializing_if = "LmsSettings::is_empty")]
    pub lms: LmsSettings,
    /// A file or URL of Moodle's xAPI plugin for this run. The cluster stores the plugin itself.
    #[serde(skip)]
    pub plugin: Option<String>,
}

/// Moodle's event delivery, and its test course.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize, Serialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LmsSettings {
    /// Size of Moodle's test course
    #[arg(long, value_enum, value_name = "SIZE", help_heading = "Moodle")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub course: Option<TestCourse>,
    /// When Moodle sends events: `--background` or `--immediate` on the command line
    #[arg(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sending: Option<Sending>,
    /// Send learners' names [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Moodle")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_names: Option<bool>,
    /// Send learners' user names instead of their ids [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Moodle")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_usernames: Option<bool>,
    /// Send learners' email addresses instead of their ids [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Moodle")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_emails: Option<bool>,
    /// Send events of guests [default: false]
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
    /// From Moodle's cron, once per minute
    #[default]
    Background,
    /// During the page request: while the LRS is down, events are lost and pages are slow
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

/// How users reach the stack from outside the cluster.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Expose {
    /// By port-forward only
    #[default]
    None,
    /// Services of type LoadBalancer
    Loadbalancer,
    /// Services of type NodePort
    Nodeport,
    /// One Ingress per component, under the domain of `--domain`
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

/// The host names and certificate of the Ingresses.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize, Serialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IngressSettings {
    /// Domain for `--expose ingress`; the hosts are lms.DOMAIN, lrs.DOMAIN and dataviz.DOMAIN
    #[arg(long, value_name = "DOMAIN", help_heading = "Ingress")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// IngressClass; an empty value selects the cluster's default
    #[arg(long = "ingress-class", value_name = "CLASS", help_heading = "Ingress")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Secret in the namespace with a TLS certificate for all three hosts; an empty value means plain HTTP
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

    /// Why the domain is invalid. None when it is valid.
    fn domain_error(&self) -> Option<String> {
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
            .then(|| format!("`--domain`: `{domain}` is not a domain name"))
    }
}

impl Settings {
    /// # Errors
    /// When the file cannot be read, is not YAML, or has an unknown key or an invalid value.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
        let mut settings: Self = serde_saphyr::from_str(&text).map_err(|error| {
            Failure::usage(format!("{}: invalid settings: {}", path.display(), yaml_message(&error)))
                .hint("use only the keys components, profile, expose, ingress, imageRegistry, charts, values and lms")
        })?;
        // a later install may run in another directory
        for chart in settings.charts.values_mut() {
            if let Ok(path) = std::fs::canonicalize(&*chart) {
                *chart = path.to_string_lossy().into_owned();
            }
        }
        Ok(settings)
    }

    /// The stored settings, all of them: an install would delete those that it ignores.
    ///
    /// # Errors
    /// When the ConfigMap has settings that this version does not know.
    pub fn from_config_map(map: &ConfigMap) -> Result<Self> {
        serde_saphyr::from_str(stored(map)).map_err(|error| {
            let (name, namespace) = (map.metadata.name.as_deref().unwrap_or("?"), map.metadata.namespace.as_deref().unwrap_or("?"));
            Failure::failed(format!("ConfigMap {name}: not settings of this version of kubectl-lastack: {}", yaml_message(&error)))
                .hint(format!("use the version that installed the stack, or delete the setting: kubectl edit configmap {name} -n {namespace}"))
                .into()
        })
    }

    /// The stored settings that this version knows, and the names of the others: enough to show and to delete a stack.
    pub fn understood(map: &ConfigMap) -> (Self, Vec<String>) {
        if let Ok(settings) = Self::from_config_map(map) {
            return (settings, Vec::new());
        }
        let mut document: serde_json::Map<String, Value> =
            serde_saphyr::from_str(stored(map)).unwrap_or_default();
        let mut unknown = Vec::new();
        document.retain(|key, value| keep_understood(key, value, &mut unknown));
        if unknown.is_empty() {
            unknown.push(KEY.into());
        }
        (serde_json::from_value(Value::Object(document)).unwrap_or_default(), unknown)
    }

    /// The data of the ConfigMap that stores these settings.
    ///
    /// # Errors
    /// When the settings cannot be written as YAML.
    pub fn to_data(&self) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::from([(
            KEY.to_string(),
            serde_saphyr::to_string(self).context("cannot write the settings as YAML")?,
        )]))
    }

    /// These settings with `other` applied over them. Destructures `other`, so that a new field cannot be forgotten.
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
        self.charts.retain(|_, chart| !chart.is_empty());
        self.values.extend(values);
        // YAML reads a key whose content is commented out as null
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
            plugin: plugin.filter(|source| !source.is_empty()).or(self.plugin),
        }
    }

    /// Whether the stack includes a component.
    pub fn has(&self, component: ComponentName) -> bool {
        self.components.as_ref().is_none_or(|components| components.contains(&component))
    }

    /// The chart values that the user gave for a component.
    pub fn values_of(&self, component: ComponentName) -> Option<&Value> {
        self.values.get(&component)
    }

    /// The resource requests and the number of the Pods at a path of chart values, such as `/worker`. The given size
    /// applies where the user gave no value.
    pub fn pods(
        &self,
        component: ComponentName,
        path: &str,
        (requests, count): (Resources, u32),
    ) -> (Resources, u32) {
        let values = self.values_of(component).and_then(|values| values.pointer(path));
        let value = |name: &str| values.and_then(|values| values.get(name));
        let is_absent = value("enabled").and_then(Value::as_bool) == Some(false);
        let own = value("replicas").and_then(Value::as_u64).and_then(|own| u32::try_from(own).ok());
        let count = if is_absent { 0 } else { own.unwrap_or(count) };
        (requests.overridden_by(value("resources")), count)
    }

    pub fn profile(&self) -> Profile {
        self.profile.unwrap_or_default()
    }

    pub fn expose(&self) -> Expose {
        self.expose.unwrap_or_default()
    }

    /// Whether an Ingress with a certificate is the way to the components.
    pub fn has_tls(&self) -> bool {
        let secret = self.ingress.tls_secret.as_deref().unwrap_or_default();
        self.expose() == Expose::Ingress && !secret.is_empty()
    }

    /// The chart values for `expose`, the same in all charts of this program.
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

    /// Checks these settings together with the stored ones.
    ///
    /// # Errors
    /// When `--expose ingress` has no domain, or an invalid one.
    pub fn check(&self) -> Result<()> {
        match (self.expose(), &self.ingress.domain) {
            (Expose::Ingress, None) => Err(Failure::usage("`--expose ingress` requires `--domain`")
                .hint("pass `--domain example.org` for the hosts lms.example.org, lrs.example.org and dataviz.example.org")
                .into()),
            (Expose::Ingress, Some(_)) => self.ingress.domain_error().map_or(Ok(()), |error| {
                Err(Failure::usage(error).hint("use lower-case letters, digits and `-` between dots, such as la.example.org").into())
            }),
            _ => Ok(()),
        }
    }
}

fn stored(map: &ConfigMap) -> &str {
    map.data.as_ref().and_then(|data| data.get(KEY)).map_or("{}", String::as_str)
}

/// Drops unknown settings below a key and records their names. Returns whether to keep the key.
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

/// The message of a YAML error, with its line, without the prefix `error:`.
pub fn yaml_message(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("error: ").unwrap_or(&text).to_string()
}

/// Merges `over` into `values` as helm does: maps by key, everything else replaced. A null remains, because helm uses it
/// to delete a default of the chart.
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

/// Deletes keys whose value is null.
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
    fn install_without_flags_keeps_the_stored_settings() {
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
    fn empty_chart_restores_the_default_and_empty_values_change_nothing() {
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
        assert_eq!(values, json!({"replicas": 1}), "empty values must keep the defaults");
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
    fn unknown_stored_settings_are_named_and_the_others_are_read() {
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
    fn ingress_needs_a_domain_and_gives_each_component_its_host() {
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
            (None, "requires `--domain`"),
            (Some("https://la.example.org"), "not a domain name"),
            (Some(""), "not a domain name"),
        ] {
            let error = format!("{:#}", ingress(domain).check().unwrap_err());
            assert!(error.contains(says), "{error}");
        }
        // a later install can disable the Ingress
        let over = ingress(Some("la.example.org"))
            .overridden_by(Settings { expose: Some(Expose::None), ..Default::default() });
        assert_eq!(
            over.exposure(ComponentName::new("lms")),
            json!({"service": {"type": "ClusterIP"}, "ingress": {"enabled": false}})
        );
    }

    #[test]
    fn unknown_key_is_an_error_with_its_name() {
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
            "a null must reach helm, which then deletes the chart's default"
        );
        without_nulls(&mut values);
        assert_eq!(values, json!({"a": {"b": 3}, "d": [4], "e": {"f": 5}}));
    }
}
