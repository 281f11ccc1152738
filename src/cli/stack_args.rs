//! The stack that the arguments of `install`, `diff` and `restore` ask for.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::components;
use crate::engine::graph::Graph;
use crate::engine::{Id, Node};
use crate::error::Failure;
use crate::stack::Stack;
use crate::stack::component::{ComponentName, ComponentParser};
use crate::stack::profiles::Profile;
use crate::stack::settings::{Expose, IngressSettings, Settings, yaml_message};

#[derive(Debug, Args)]
pub struct StackArgs {
    #[command(flatten)]
    components: ComponentArgs,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Which components belong to the stack.
#[derive(Debug, Default, Args)]
struct ComponentArgs {
    /// Components to install, with their dependencies; a new stack then consists of them
    #[arg(long, value_parser = ComponentParser, value_delimiter = ',', value_name = "COMPONENT")]
    only: Vec<ComponentName>,
    /// Install all components, including those that an earlier `--only` omitted
    #[arg(long, conflicts_with = "only")]
    all: bool,
}

/// The settings of the stack, beside its components.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// Size of the stack [default: laptop]
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// File with settings (components, profile, expose, ingress, imageRegistry, charts, values, lms)
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// File with chart values that override the defaults of a component (repeatable)
    #[arg(long, value_name = "COMPONENT=FILE", value_parser = component_file)]
    values: Vec<(ComponentName, PathBuf)>,
    /// How users reach the stack from outside the cluster [default: none]
    #[arg(long, value_enum)]
    expose: Option<Expose>,
    #[command(flatten)]
    ingress: IngressSettings,
    /// Registry to pull all images from; an empty value restores their own registries
    #[arg(long, value_name = "REGISTRY")]
    image_registry: Option<String>,
    /// Zip file or URL of the Moodle plugin logstore_xapi, instead of its pinned release
    #[arg(long, value_name = "FILE|URL", env = "LASTACK_PLUGIN", hide_env_values = true)]
    plugin: Option<String>,
    /// Check to skip, such as `preflight.room` (repeatable)
    #[arg(long, value_name = "CHECK")]
    skip: Vec<String>,
}

fn component_file(text: &str) -> Result<(ComponentName, PathBuf), String> {
    let (component, file) = text.split_once('=').ok_or("expected COMPONENT=FILE")?;
    let known = ComponentParser::find(component);
    Ok((known.ok_or_else(|| format!("`{component}` is not a component"))?, file.into()))
}

impl StackArgs {
    /// As [`SettingsArgs::settings`].
    ///
    /// # Errors
    /// When a file cannot be read or is invalid.
    pub fn settings(&self) -> Result<Settings> {
        self.settings.settings()
    }

    /// As [`SettingsArgs::graph`].
    ///
    /// # Errors
    /// When `--skip` names no check that can be skipped.
    pub fn graph(&self) -> Result<Graph<Stack>> {
        self.settings.graph()
    }

    /// The nodes to reconcile, and the stack with its settings after this install.
    ///
    /// # Errors
    /// When the settings are invalid.
    pub fn prepare(&self, graph: Graph<Stack>, stack: Stack) -> Result<(Graph<Stack>, Stack)> {
        self.settings.prepare_with(&self.components, graph, stack)
    }
}

impl SettingsArgs {
    /// The settings that the user typed, over those of the file.
    ///
    /// # Errors
    /// When a file cannot be read or is invalid.
    pub fn settings(&self) -> Result<Settings> {
        let mut settings =
            self.file.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
        for (component, file) in &self.values {
            let text = std::fs::read_to_string(file).map_err(|error| {
                Failure::usage(format!("cannot read {}: {error}", file.display()))
            })?;
            let values = serde_saphyr::from_str(&text).map_err(|error| {
                Failure::usage(format!("{} is not YAML: {}", file.display(), yaml_message(&error)))
            })?;
            settings.values.insert(*component, values);
        }
        let typed = Settings {
            profile: self.profile,
            expose: self.expose,
            ingress: self.ingress.clone(),
            image_registry: self.image_registry.clone(),
            plugin: self.plugin.clone(),
            ..Default::default()
        };
        // an empty registry must reach the stored settings, where it clears the stored one
        let registry = typed.image_registry.clone().or(settings.image_registry.clone());
        let mut settings = settings.overridden_by(typed);
        settings.image_registry = registry;
        Ok(settings)
    }

    /// All nodes but the skipped checks.
    ///
    /// # Errors
    /// When `--skip` names no check that can be skipped.
    pub fn graph(&self) -> Result<Graph<Stack>> {
        let graph = components::graph()?;
        let is_skippable =
            |node: &&Node<Stack>| node.is_check() && ComponentName::of(node.id()).is_none();
        let checks: Vec<&str> =
            graph.nodes().filter(is_skippable).map(|check| check.id().as_str()).collect();
        for skip in &self.skip {
            if !checks.contains(&skip.as_str()) {
                return Err(Failure::usage(format!(
                    "`--skip`: `{skip}` is not a check that can be skipped"
                ))
                .hint(format!("choose one of {}", checks.join(", ")))
                .into());
            }
        }
        Ok(graph.without(|node| self.skip.iter().any(|skip| skip == node.id().as_str())))
    }

    /// The nodes of all components of the stack, and the stack with its settings after this command.
    ///
    /// # Errors
    /// When the settings are invalid.
    pub fn prepare(&self, graph: Graph<Stack>, stack: Stack) -> Result<(Graph<Stack>, Stack)> {
        self.prepare_with(&ComponentArgs::default(), graph, stack)
    }

    fn prepare_with(
        &self,
        components: &ComponentArgs,
        graph: Graph<Stack>,
        mut stack: Stack,
    ) -> Result<(Graph<Stack>, Stack)> {
        stack.settings.check()?;
        let all: Vec<Id> = graph.ids().collect();
        let graph = components.of_components(graph, &stack);
        stack.settings.components = components.consists_of(&graph, &all, &stack);
        if !self.ingress.is_empty() && stack.settings.expose() != Expose::Ingress {
            return Err(Failure::usage(
                "`--domain`, `--ingress-class` and `--tls-secret` require `--expose ingress`",
            )
            .into());
        }
        Ok((graph, stack))
    }
}

impl ComponentArgs {
    /// The nodes of the requested components, or else of the components of the stack.
    fn of_components(&self, graph: Graph<Stack>, stack: &Stack) -> Graph<Stack> {
        let wanted: BTreeSet<ComponentName> = match &stack.settings.components {
            _ if !self.only.is_empty() => self.only.iter().copied().collect(),
            Some(components) if !self.all => components.clone(),
            _ => return graph,
        };
        components::of_components(graph, &wanted)
    }

    /// The components of the stack after this install. None: all. A component counts only when all its nodes are installed.
    fn consists_of(
        &self,
        graph: &Graph<Stack>,
        all: &[Id],
        stack: &Stack,
    ) -> Option<BTreeSet<ComponentName>> {
        let is_included = |id: &Id| graph.ids().any(|included| included == *id);
        let is_whole = |component: &ComponentName| {
            all.iter().filter(|id| ComponentName::of(**id) == Some(*component)).all(is_included)
        };
        let mut components: BTreeSet<ComponentName> =
            ComponentName::all().filter(is_whole).collect();
        match &stack.settings.components {
            _ if self.all => return None,
            // a complete stack, of which this run reconciles some components
            None if !stack.is_new => return None,
            None => {}
            Some(before) => components.extend(before),
        }
        ComponentName::all().any(|component| !components.contains(&component)).then_some(components)
    }
}
