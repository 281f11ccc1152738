//! Objects of the cluster: their names, labels and owners, and their deletion.

use std::fmt;

use anyhow::{Context, Result};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::ApiResource;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::Cluster;

/// The field manager of server-side apply, and the value of the label [`MANAGED_BY`].
pub const FIELD_MANAGER: &str = "kubectl-lastack";
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The label of every object of a stack, whichever program manages it.
pub const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "lastack");
/// The value of [`MANAGED_BY`] in our charts.
pub const HELM: &str = "Helm";

/// helm's annotations on every object of a release. helm adopts no object without them.
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// The label selector of all objects of a stack.
pub fn of_a_stack() -> String {
    let (label, value) = PART_OF;
    format!("{label}={value}")
}

/// The label selector of a release: its workloads, their Pods and their volume claims.
pub fn of_release(release: &str) -> String {
    format!("{},{INSTANCE}={release}", of_a_stack())
}

pub fn label<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(key).map(String::as_str)
}

/// Whether this program created the object, according to its label.
pub fn is_ours(metadata: &ObjectMeta) -> bool {
    label(metadata, MANAGED_BY) == Some(FIELD_MANAGER)
}

/// The release for which helm created the object. None: helm did not create it, whatever its other labels are.
pub fn helm_release(metadata: &ObjectMeta) -> Option<&str> {
    let annotation = |key| metadata.annotations.as_ref()?.get(key).map(String::as_str);
    let is_from_helm = label(metadata, MANAGED_BY) == Some(HELM)
        && metadata.namespace.as_deref() == annotation(RELEASE_NAMESPACE);
    annotation(RELEASE_NAME).filter(|_| is_from_helm)
}

/// Whether helm stores a release in the Secret. helm copies the labels of the release to it.
pub fn is_helm_record(metadata: &ObjectMeta) -> bool {
    metadata.name.as_deref().is_some_and(|name| name.starts_with("sh.helm.release."))
}

/// The hint for a foreign object with the name of one of ours.
pub fn others_hint(kind: &str, name: &str, namespace: &str) -> String {
    format!(
        "use another namespace with `-n`, or let this tool manage it: kubectl label {kind} {name} -n {namespace} {MANAGED_BY}={FIELD_MANAGER} --overwrite"
    )
}

/// The kind and name of an object, in the form of kubectl: `deployment/lrs-ralph`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// In lower case. A helm release has the kind `release`.
    pub kind: String,
    pub name: String,
}

impl ObjectRef {
    pub fn of<K: Resource<DynamicType = ()>>(name: impl Into<String>) -> Self {
        Self::new(&K::kind(&()), name)
    }

    pub fn new(kind: &str, name: impl Into<String>) -> Self {
        Self { kind: kind.to_lowercase(), name: name.into() }
    }

    pub fn release(name: &str) -> Self {
        Self::new("release", name)
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// The names of objects in the form of kubectl, joined.
pub fn names(objects: &[ObjectRef], separator: &str) -> String {
    objects.iter().map(ObjectRef::to_string).collect::<Vec<_>>().join(separator)
}

/// An existing object.
pub struct LiveObject {
    kind: ApiResource,
    pub metadata: ObjectMeta,
}

impl LiveObject {
    #[cfg(test)]
    pub fn new(kind: ApiResource, metadata: ObjectMeta) -> Self {
        Self { kind, metadata }
    }

    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(&self.kind.kind, self.metadata.name.clone().unwrap_or_default())
    }

    pub fn is<K: Resource<DynamicType = ()>>(&self) -> bool {
        self.kind.kind == K::kind(&()) && self.kind.group == K::group(&())
    }

    /// Whether another object owns this one. Kubernetes deletes it with its owner.
    pub fn has_owner(&self) -> bool {
        self.metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
    }

    /// Deletes the object, but not a newer one with the same name.
    ///
    /// # Errors
    /// When the API server rejects the deletion. A missing object is no error.
    pub async fn delete(&self, cluster: &Cluster, params: DeleteParams) -> Result<()> {
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let this = Preconditions { uid: self.metadata.uid.clone(), ..Preconditions::default() };
        let params = params.preconditions(this);
        match api(cluster, &self.kind).delete(name, &params).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            deleted => deleted.map(drop).with_context(|| self.reference().to_string()),
        }
    }
}

fn api(cluster: &Cluster, kind: &ApiResource) -> Api<DynamicObject> {
    Api::namespaced_with(cluster.client.clone(), &cluster.namespace, kind)
}

/// The objects of a kind in the stack's namespace, by label selector.
///
/// # Errors
/// When the API server does not list them.
pub async fn find(cluster: &Cluster, kind: &ApiResource, labels: &str) -> Result<Vec<LiveObject>> {
    let selection = ListParams::default().labels(labels);
    let objects =
        api(cluster, kind).list_metadata(&selection).await.with_context(|| kind.plural.clone())?;
    let found = |metadata| LiveObject { kind: kind.clone(), metadata };
    Ok(objects.items.into_iter().map(|object| found(object.metadata)).collect())
}

/// Whether the object exists and this program created it.
///
/// # Errors
/// When the object cannot be read.
pub async fn exists_and_is_ours<K>(api: &Api<K>, name: &str) -> Result<bool>
where
    K: Clone + DeserializeOwned + fmt::Debug,
{
    let found = api.get_metadata_opt(name).await.with_context(|| name.to_string())?;
    Ok(found.is_some_and(|object| is_ours(&object.metadata)))
}

/// The same, as a list of at most one object.
///
/// # Errors
/// When the object cannot be read.
pub async fn ours<K>(cluster: &Cluster, name: &str) -> Result<Vec<ObjectRef>>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + fmt::Debug,
{
    let exists = exists_and_is_ours(&cluster.api::<K>(), name).await?;
    Ok(exists.then(|| ObjectRef::of::<K>(name)).into_iter().collect())
}

/// Deletes an object that this program created. A foreign object is left in place.
///
/// # Errors
/// When the API server rejects the deletion.
pub async fn delete_ours<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Clone + DeserializeOwned + fmt::Debug,
{
    if exists_and_is_ours(api, name).await? {
        delete(api, name, &DeleteParams::default()).await
    } else {
        Ok(())
    }
}

/// Deletes an object.
///
/// # Errors
/// When the API server rejects the deletion. A missing object is no error.
pub async fn delete<K>(api: &Api<K>, name: &str, params: &DeleteParams) -> Result<()>
where
    K: Clone + DeserializeOwned + fmt::Debug,
{
    match api.delete(name, params).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(error).with_context(|| name.to_string()),
    }
}

pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
