//! The index `statements` with an explicit mapping. Field types do not depend on the order of statements, and no
//! statement is rejected for its keys.

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::cluster::steps::Step;
use crate::engine::{Difference, Id, Observation, Progress, Reconciled, Resource};
use crate::error::Diagnosis;
use crate::stack::Stack;

use super::client::Elasticsearch;
use super::{INDEX, SERVICE, client, nodes, user_secret};

pub const REPLICAS: &str = "index.number_of_replicas";
const LIMIT: &str = "index.mapping.total_fields.limit";
const BEYOND_LIMIT: &str = "index.mapping.total_fields.ignore_dynamic_beyond_limit";
/// Elasticsearch sets this block when a disk is nearly full, and removes it afterwards.
const FLOOD: &str = "index.blocks.read_only_allow_delete";
const DEFINITION: &str = include_str!("../../../manifests/statements.json");

/// The desired index for a number of nodes.
pub fn definition(nodes: u32) -> Result<Value> {
    let mut definition: Value =
        serde_json::from_str(DEFINITION).context("manifests/statements.json")?;
    definition["settings"][REPLICAS] = json!(replicas(nodes));
    // Elasticsearch indexes objects in arrays only with a dynamic mapping; this limit prevents new fields
    definition["settings"][LIMIT] = json!(fields(&definition));
    Ok(definition)
}

/// The number of fields in the mapping, with subfields.
fn fields(definition: &Value) -> usize {
    let fields = definition["mappings"]["properties"]
        .as_object()
        .into_iter()
        .flat_map(|fields| fields.values());
    fields.map(|field| 1 + field["fields"].as_object().map_or(0, serde_json::Map::len)).sum()
}

/// One replica when a second node can hold it.
pub fn replicas(nodes: u32) -> u32 {
    u32::from(nodes > 1)
}

/// Why the index differs from its definition or is blocked. None for a correct or absent index.
///
/// # Errors
/// When the index cannot be read.
pub async fn problem(stack: &Stack, elasticsearch: &Elasticsearch) -> Result<Option<String>> {
    let Some(live) = elasticsearch.index(INDEX).await? else { return Ok(None) };
    if let Some(diagnosis) = blocked(stack, &live) {
        return Ok(Some(diagnosis.sentence()));
    }
    let observation = compared(INDEX, &live, &definition(nodes(stack))?);
    Ok(observation.is_fault().then(|| observation.text()))
}

/// Why the index accepts no statements although the cluster is healthy. None when it accepts statements or is absent.
///
/// # Errors
/// When the index cannot be read.
pub async fn why_closed(stack: &Stack, elasticsearch: &Elasticsearch) -> Result<Option<Diagnosis>> {
    Ok(elasticsearch.index(INDEX).await?.and_then(|live| blocked(stack, &live)))
}

/// A block changes neither the cluster's health nor the LRS's heartbeat. This tool removes none: Elasticsearch removes
/// [`FLOOD`], and an administrator sets the others on purpose.
fn blocked(stack: &Stack, live: &Value) -> Option<Diagnosis> {
    let block = block(live)?;
    Some(match block {
        FLOOD => Diagnosis::new(
            format!(
                "index {INDEX} accepts no statements, because a disk of the data lake is full ({block})"
            ),
            "free disk space or enlarge the volume; Elasticsearch removes the block below the high watermark",
        ),
        _ => {
            let body = json!({block: null});
            let remove = by_hand(
                stack,
                &format!(
                    "-X PUT https://localhost:9200/{INDEX}/_settings -H 'Content-Type: application/json' -d '{body}'"
                ),
            );
            Diagnosis::new(
                format!("index {INDEX} accepts no statements, because {block} is set"),
                format!("remove the block when it is no longer needed: {remove}"),
            )
        }
    })
}

fn block(live: &Value) -> Option<&str> {
    let settings = live["settings"].as_object()?;
    settings
        .iter()
        .find(|(name, value)| name.starts_with("index.blocks.") && plain(value) == "true")
        .map(|(name, _)| name.as_str())
}

/// The same request as a command for a user.
pub fn by_hand(stack: &Stack, request: &str) -> String {
    let namespace = stack.namespace();
    format!(
        "kubectl exec -i -n {namespace} data-lake-es-default-0 -c elasticsearch -- curl -ks -u elastic:PASSWORD {request}"
    )
}

/// The step by which a user creates an index unless it exists. It runs in a Pod of Elasticsearch, over verified TLS, with
/// the account of this tool.
///
/// # Errors
/// When the definition cannot be written as JSON.
pub fn index_by_hand(stack: &Stack, index: &str, definition: &Value) -> Result<Step> {
    let definition = serde_json::to_string_pretty(definition).context("definition of an index")?;
    Ok(Step::Command(
        BY_HAND
            .replace("NAMESPACE", stack.namespace())
            .replace("SECRET", &user_secret("lastack"))
            .replace("SERVICE", SERVICE)
            .replace("URL", &format!("{}/{index}", super::address(stack)))
            .replace("DEFINITION", &definition),
    ))
}

/// Repeats the request, because the operator applies a new role only after up to a minute.
const BY_HAND: &str = r#"{ kubectl get secret SECRET -n NAMESPACE -o go-template='{{.data.password | base64decode}}{{"\n"}}'; cat <<'EOF'
DEFINITION
EOF
} | kubectl exec -i service/SERVICE -n NAMESPACE -c elasticsearch -- bash -c '
read -r password
definition=$(cat)
authority=/usr/share/elasticsearch/config/http-certs/ca.crt
[ -f "$authority" ] || authority=${authority%/*}/tls.crt
ask() {
  curl --silent --show-error --fail --max-time 30 --cacert "$authority" --connect-to ::localhost: \
    --config <(printf "user = \"lastack:%s\"\n" "$password") --output /dev/null "$@" URL
}
for attempt in {1..20}; do
  ask --head 2>/dev/null && exit
  ask --request PUT --header "Content-Type: application/json" --data-binary "$definition" && exit
  sleep 6
done
exit 1
'"#;

pub struct Index;

#[async_trait]
impl Resource<Stack> for Index {
    fn id(&self) -> Id {
        Id("datalake.index")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("datalake.cluster")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let Some(live) = client(stack).await?.index(INDEX).await? else {
            return Ok(Observation::Missing(format!("index {INDEX}")));
        };
        if let Some(blocked) = blocked(stack, &live) {
            return Ok(Observation::Blocked(blocked));
        }
        Ok(compared(INDEX, &live, &definition(nodes(stack))?))
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let elasticsearch = client(stack).await?;
        let wanted = definition(nodes(stack))?;
        match elasticsearch.index(INDEX).await? {
            None => elasticsearch.create_index(INDEX, &wanted).await?,
            Some(_) => update(&elasticsearch, &wanted, progress).await?,
        }
        let fields = wanted["mappings"]["properties"].as_object().map_or(0, serde_json::Map::len);
        Ok(Reconciled::Done(format!("index {INDEX}, {fields} mapped fields")))
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        Ok(vec![index_by_hand(stack, INDEX, &definition(nodes(stack))?)?])
    }
}

/// Updates the index in place where possible. Otherwise recreates an empty index.
///
/// # Errors
/// When the index contains statements and cannot be updated in place.
async fn update(
    elasticsearch: &Elasticsearch,
    wanted: &Value,
    progress: &Progress<'_>,
) -> Result<()> {
    let settings = [REPLICAS, LIMIT, BEYOND_LIMIT]
        .map(|name| (name.to_string(), wanted["settings"][name].clone()));
    let in_place = async {
        // the new mapping may need the new limit
        elasticsearch.put_settings(INDEX, &Value::Object(settings.into_iter().collect())).await?;
        elasticsearch.put_mapping(INDEX, &wanted["mappings"]).await?;
        let now = elasticsearch.index(INDEX).await?.unwrap_or_default();
        if let Some(first) = differences(&now, wanted).first() {
            bail!("{first}, and cannot be changed in place");
        }
        Ok(())
    };
    let Err(error) = in_place.await else { return Ok(()) };
    elasticsearch.refresh(INDEX).await?;
    if elasticsearch.count(INDEX).await? > 0 {
        return Err(
            error.context(format!("index {INDEX} contains statements and has a different mapping"))
        );
    }
    progress.say(&format!("recreating the empty index {INDEX} with a new mapping"));
    elasticsearch.delete_index(INDEX).await?;
    elasticsearch.create_index(INDEX, wanted).await
}

/// Compares an index with its definition.
pub fn compared(index: &str, live: &Value, wanted: &Value) -> Observation {
    let differences = differences(live, wanted)
        .into_iter()
        .map(|found| Difference { what: format!("index {index} {}", found.what), ..found });
    Observation::compared(differences.collect(), || format!("index {index}"))
}

/// All values of `wanted` that differ in `live`. Elasticsearch returns settings as text. Other values of the index are
/// ignored.
fn differences(live: &Value, wanted: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    // first, because a missing field explains more than a different limit
    for section in ["mappings", "settings"] {
        compare(section, live.get(section), &wanted[section], &mut found);
    }
    found
}

fn compare(path: &str, live: Option<&Value>, wanted: &Value, found: &mut Vec<Difference>) {
    match (live, wanted) {
        (Some(Value::Object(live)), Value::Object(wanted)) => {
            for (key, wanted) in wanted {
                compare(&format!("{path}.{key}"), live.get(key), wanted, found);
            }
        }
        // Elasticsearch omits the type `object`
        (None, Value::String(text)) if path.ends_with(".type") && text == "object" => {}
        (Some(live), wanted) if plain(live) == plain(wanted) => {}
        (live, wanted) => {
            let observed = live.map_or("absent".into(), plain);
            found.push(Difference::new(path, observed, plain(wanted)));
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_with_normalised_settings_is_equal() {
        let wanted = json!({"settings": {"index.number_of_replicas": 0},
                            "mappings": {"dynamic": false, "properties": {"verb": {"type": "object", "properties": {"id": {"type": "keyword"}}}}}});
        let live = json!({"settings": {"index.number_of_replicas": "0", "index.uuid": "x"},
                          "mappings": {"dynamic": "false", "properties": {"verb": {"properties": {"id": {"type": "keyword"}}}, "more": {"type": "long"}}}});
        assert_eq!(differences(&live, &wanted), []);
    }

    #[test]
    fn field_with_different_type_is_named_by_its_path() {
        let wanted =
            json!({"settings": {}, "mappings": {"properties": {"timestamp": {"type": "date"}}}});
        let live =
            json!({"settings": {}, "mappings": {"properties": {"timestamp": {"type": "text"}}}});
        assert_eq!(
            differences(&live, &wanted),
            [Difference::new("mappings.properties.timestamp.type", "text", "date")]
        );
    }

    #[test]
    fn index_is_blocked_only_when_block_is_true() {
        let index = |settings: Value| json!({"settings": settings});
        assert_eq!(
            block(&index(json!({"index.blocks.write": "true"}))),
            Some("index.blocks.write")
        );
        assert_eq!(
            block(&index(json!({"index.blocks.write": "false", "index.uuid": "true"}))),
            None
        );
        assert_eq!(block(&json!({})), None);
    }

    #[test]
    fn definition_accepts_every_key_and_has_no_replica_on_one_node() {
        let definition = definition(1).unwrap();
        assert_eq!(plain(&definition["mappings"]["dynamic"]), "runtime");
        assert_eq!(definition["settings"][REPLICAS], 0);
        // with a higher limit, the next unknown key of a statement would become a field
        let fields = definition["mappings"]["properties"].as_object().unwrap();
        let within = fields
            .values()
            .filter_map(|field| field["fields"].as_object())
            .map(serde_json::Map::len)
            .sum::<usize>();
        assert_eq!(definition["settings"][LIMIT], fields.len() + within);
        assert_eq!(super::definition(3).unwrap()["settings"][REPLICAS], 1);
        let settings = definition["settings"].as_object().unwrap();
        assert!(
            settings.keys().all(|key| key.starts_with("index.")),
            "Elasticsearch returns settings with the prefix `index.`"
        );
    }
}
