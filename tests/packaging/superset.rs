//! The chart of Superset: the values that it rejects.

use serde_json::json;

use super::rendered::rejection;

#[test]
fn superset_chart_rejects_invalid_values() {
    for (values, said) in [
        (json!({"existingSecret": "Not A Name"}), "existingSecret"),
        (json!({"secretKey": "in the open"}), "secretKey"),
        (json!({"admin": {"password": "secret"}}), "admin"),
        (json!({"secretChecksum": "of what is secret"}), "secretChecksum"),
        (json!({"replicas": -1}), "replicas"),
        (json!({"gunicorn": {"threads": 0}}), "threads"),
        (json!({"config": {"logLevel": "LOUD"}}), "logLevel"),
        (json!({"config": {"featureFlags": {"TAGGING_SYSTEM": "yes"}}}), "TAGGING_SYSTEM"),
        (json!({"elasticsearch": {"port": 92000}}), "port"),
        (json!({"elasticsearch": {"verifyCerts": false}}), "verifyCerts"),
        (json!({"drivers": {"indexUrl": "https://me:secret@pypi.example.org/simple"}}), "indexUrl"),
        (json!({"externalDatabase": {"host": "db.example.org/superset"}}), "host"),
        (json!({"externalDatabase": {"sslMode": "sometimes"}}), "sslMode"),
        (json!({"externalDatabase": {"password": "secret"}}), "password"),
        (json!({"ingress": {"host": "https://superset.example.org"}}), "host"),
        (json!({"extraEnv": [{"value": "of nothing"}]}), "name"),
        (json!({"postgresql": {"enabled": false}}), "externalDatabase.host is required"),
        (
            json!({"postgresql": {"enabled": false}, "externalDatabase": {"host": "db"}}),
            "externalDatabase.existingSecret is required",
        ),
        (
            json!({"postgresql": {"enabled": false}, "externalDatabase": {"host": "db", "existingSecret": "db", "sslMode": "verify-full"}}),
            "externalDatabase.caSecret",
        ),
        (json!({"worker": {"replicas": 1}}), "worker and beat need cache.enabled"),
        (json!({"cache": {"enabled": true}, "beat": {"enabled": true}}), "beat needs a worker"),
        (json!({"ingress": {"enabled": true}}), "ingress.host is required"),
    ] {
        let rejection = rejection("superset", &values);
        assert!(
            rejection.contains(said),
            "the chart should reject {values} and name {said}: {rejection}"
        );
    }
}
