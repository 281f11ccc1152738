//! Kubeconfig files, from bytes to one merged kubeconfig. The rules are those of client-go's `clientcmd`:
//! <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{MAIN_SEPARATOR, Path};

use kube::config::Kubeconfig;
use serde_json::Value;
use serde_saphyr::DuplicateKeyPolicy;

use super::document;

/// The kubeconfig of one file. Its relative paths are absolute in the result.
///
/// # Errors
///
/// The message names the file and the place of the fault. It never quotes the file, which may hold a password.
pub fn file(path: &Path) -> Result<Kubeconfig, String> {
    let name = path.display();
    let bytes = fs::read(path).map_err(|error| format!("cannot read `{name}`: {error}"))?;
    let mut kubeconfig = parse(&bytes).map_err(|fault| format!("`{name}`: {fault}"))?;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    if let Some(folder) = path.parent() {
        resolve_paths(&mut kubeconfig, folder);
    }
    Ok(kubeconfig)
}

/// The kubeconfig of a list of files, as in KUBECONFIG. The first value wins. A missing file counts for nothing.
///
/// # Errors
///
/// As [`file`].
pub fn files(list: &OsStr) -> Result<Option<Kubeconfig>, String> {
    let mut paths = env::split_paths(list)
        .filter(|path| !path.as_os_str().is_empty() && path.try_exists().unwrap_or(true));
    paths.try_fold(None, |before: Option<Kubeconfig>, path| {
        let merged = before.unwrap_or_default().merge(file(&path)?);
        merged.map(Some).map_err(|error| format!("`{}`: {error}", path.display()))
    })
}

fn parse(bytes: &[u8]) -> Result<Kubeconfig, String> {
    let text = text(bytes)?;
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        ignore_binary_tag_for_string: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
    };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(&text, options).map_err(|error| {
            match error.location() {
                Some(place) => {
                    format!("not valid YAML at line {}, column {}", place.line(), place.column())
                }
                None => "not valid YAML".to_string(),
            }
        })?;
    // client-go reads the first document only
    document::kubeconfig(documents.first().unwrap_or(&Value::Null))
}

/// The text of a file in UTF-8 or, with a byte order mark, in UTF-16.
fn text(bytes: &[u8]) -> Result<String, String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty()).ok_or("not valid UTF-16")
    };
    let text = match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => {
            String::from_utf8(rest.to_vec()).map_err(|_| "not valid UTF-8")
        }
    };
    text.map_err(str::to_string)
}

fn resolve_paths(kubeconfig: &mut Kubeconfig, folder: &Path) {
    let clusters = kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut());
    let authorities = clusters.map(|cluster| &mut cluster.certificate_authority);
    let mut paths: Vec<&mut Option<String>> = authorities.collect();
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        paths.extend([&mut user.client_certificate, &mut user.client_key, &mut user.token_file]);
        // a command without a separator is looked up in PATH
        let command = user.exec.as_mut().map(|exec| &mut exec.command);
        paths.extend(command.filter(|command| {
            command.as_ref().is_some_and(|command| command.contains(MAIN_SEPARATOR))
        }));
    }
    for path in paths.into_iter().flatten() {
        *path = folder.join(&*path).to_string_lossy().into_owned();
    }
}

#[cfg(test)]
mod tests {
    use kube::config::{AuthInfo, Cluster};
    use secrecy::ExposeSecret;

    use super::*;

    fn read(text: &str) -> Kubeconfig {
        parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{fault}: {text}"))
    }

    fn cluster(fields: &str) -> Cluster {
        let kubeconfig = read(&format!("clusters: [{{name: k, cluster: {{{fields}}}}}]"));
        kubeconfig.clusters[0].cluster.clone().unwrap()
    }

    fn user(fields: &str) -> AuthInfo {
        let kubeconfig = read(&format!("users: [{{name: u, user: {{{fields}}}}}]"));
        kubeconfig.auth_infos[0].auth_info.clone().unwrap()
    }

    /// What kubectl's `config view --raw` shows for the same text.
    #[test]
    fn file_in_utf16_or_with_byte_order_mark_is_read() {
        let text = "current-context: prüfung\n";
        let units = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect();
        let little: Vec<u8> = units(u16::to_le_bytes);
        let big: Vec<u8> = units(u16::to_be_bytes);
        for (mark, bytes) in [
            (&b"\xFF\xFE"[..], &little[..]),
            (b"\xFE\xFF", &big),
            (b"\xEF\xBB\xBF", text.as_bytes()),
            (b"", text.as_bytes()),
        ] {
            let kubeconfig = parse(&[mark, bytes].concat()).unwrap();
            assert_eq!(kubeconfig.current_context.as_deref(), Some("prüfung"), "{mark:?}");
        }
        let odd = parse(b"\xFF\xFEa\0b").unwrap_err();
        assert_eq!(odd, "not valid UTF-16");
        assert_eq!(parse(b"a\xFF").unwrap_err(), "not valid UTF-8");
    }

    #[test]
    fn empty_value_is_an_absent_one() {
        let kubeconfig = read(
            "{current-context: '', contexts: [{name: c, context: {cluster: k, user: '', namespace: ''}}], users: , preferences: null}",
        );
        let context = kubeconfig.contexts[0].context.clone().unwrap();
        assert_eq!(
            (kubeconfig.current_context, context.user, context.namespace),
            Default::default()
        );
        let cluster = cluster(
            "server: '', certificate-authority: '', certificate-authority-data: '', tls-server-name: '', proxy-url: '', insecure-skip-tls-verify: null",
        );
        assert_eq!(serde_json::to_value(cluster).unwrap(), serde_json::json!({}));
        let user = user(
            "username: '', password: '', token: '', tokenFile: '', client-certificate-data: '', client-key-data: '', client-key: '', as: '', as-groups: [], as-user-extra: {}, exec: null, auth-provider: null",
        );
        assert_eq!(serde_json::to_value(user).unwrap(), serde_json::json!({}));
    }

    #[test]
    fn empty_user_and_password_beside_a_token_leave_the_token() {
        let user = user("username: '', password: '', token: t0k");
        assert!(user.username.is_none() && user.password.is_none());
        assert_eq!(user.token.unwrap().expose_secret(), "t0k");
    }

    #[test]
    fn user_name_without_password_has_an_empty_password() {
        let user = user("username: u");
        assert_eq!(user.password.unwrap().expose_secret(), "");
    }

    #[test]
    fn data_over_several_lines_or_binary_is_one_base64_value() {
        let pem = "-----BEGIN CERTIFICATE-----\n";
        let once = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pem);
        let twice = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &once);
        let (start, end) = once.split_at(12);
        for value in [
            once.to_string(),
            format!("\"{start}\\n{end}\\r\\n\""),
            format!("|\n   {start}\n   {end}\n"),
            format!("!!binary |\n   {start}\n   {end}\n"),
            format!("!!binary {twice}"),
        ] {
            let text = format!(
                "clusters:\n- name: k\n  cluster:\n   certificate-authority-data: {}\n",
                value.replace("\n   ", "\n     ")
            );
            let cluster = read(&text).clusters[0].cluster.clone().unwrap();
            assert_eq!(cluster.certificate_authority_data, Some(once.clone()), "{text}");
        }
    }

    #[test]
    fn key_given_twice_has_its_last_value() {
        let kubeconfig = read(
            "current-context: a\ncurrent-context: b\nclusters: [{name: k, cluster: {server: one, server: two}}]\n",
        );
        assert_eq!(kubeconfig.current_context.as_deref(), Some("b"));
        assert_eq!(kubeconfig.clusters[0].cluster.clone().unwrap().server.as_deref(), Some("two"));
    }

    #[test]
    fn incomplete_other_entry_leaves_the_rest_usable() {
        let kubeconfig = read(
            "current-context: c
clusters: [{name: k, cluster: {server: https://a}}, {name: e, cluster: null}, {name: f}, null]
contexts: [{name: c, context: {cluster: k, user: u}}, {name: bare, context: {user: u}}, {context: {cluster: x}}]
users:
- {name: u, user: {token: t}}
- {name: gcp, user: {auth-provider: {name: gcp, config: null}}}
- {name: aws, user: {exec: {command: aws, args: null, env: null, provideClusterInfo: null, interactiveMode: ''}}}
unknown: 1
",
        );
        assert_eq!(kubeconfig.contexts.len(), 3);
        let exec = kubeconfig.auth_infos[2].auth_info.clone().unwrap().exec.unwrap();
        assert!(!exec.provide_cluster_info && exec.interactive_mode.is_none());
    }

    #[test]
    fn booleans_and_numbers_are_read_as_yaml_1_1() {
        assert_eq!(cluster("insecure-skip-tls-verify: yes").insecure_skip_tls_verify, Some(true));
        for token in ["0123", "12345", "1_000"] {
            assert_eq!(user(&format!("token: {token}")).token.unwrap().expose_secret(), token);
        }
    }

    #[test]
    fn fault_names_its_place_and_quotes_nothing() {
        for (text, fault) in [
            (
                "users: [{name: u, user: {password: [hunter2]}}]",
                "`users[0].user.password` is not a string",
            ),
            ("users: [{name: u, user: hunter2}]", "`users[0].user` is not a mapping"),
            ("users: hunter2", "`users` is not a list"),
            ("hunter2", "the document is not a mapping"),
            ("kind: hunter2", "`kind` is not `Config`"),
            (
                "clusters: [{cluster: {insecure-skip-tls-verify: hunter2}}]",
                "`clusters[0].cluster.insecure-skip-tls-verify` is not `true` or `false`",
            ),
            (
                "users: [{name: u, user: {client-key-data: hunter2!}}]",
                "`users[0].user.client-key-data` is not base64",
            ),
            ("a: b\nusers: [{name: u, user: {password: \"hunter2}}]\n", "not valid YAML at line "),
            ("password: hunter2: x\n", "not valid YAML at line 1"),
        ] {
            let told = parse(text.as_bytes()).unwrap_err();
            assert!(told.starts_with(fault), "{text}: {told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn first_file_wins_except_for_its_empty_values() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::write(
            &one,
            "{current-context: '', clusters: [{name: k, cluster: {server: https://one}}]}",
        )
        .unwrap();
        fs::write(&two, "{current-context: b, clusters: [{name: k, cluster: {server: https://two}}, {name: l}]}").unwrap();
        let list = env::join_paths([&one, &folder.path().join("absent"), &two]).unwrap();
        let merged = files(&list).unwrap().unwrap();
        assert_eq!(merged.current_context.as_deref(), Some("b"));
        let names: Vec<_> = merged.clusters.iter().map(|named| named.name.as_str()).collect();
        assert_eq!(names, ["k", "l"]);
        let server = merged.clusters[0].cluster.clone().unwrap().server;
        assert_eq!(server.as_deref(), Some("https://one"));
    }

    #[test]
    fn relative_paths_are_resolved_against_the_folder_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        fs::write(
            &path,
            "{clusters: [{name: k, cluster: {certificate-authority: ca.crt}}],
              users: [{name: u, user: {client-certificate: pki/u.crt, client-key: /u.key, tokenFile: token, exec: {command: bin/login}}},
                      {name: v, user: {exec: {command: aws}}}]}",
        )
        .unwrap();
        let kubeconfig = file(&path).unwrap();
        let below = |name: &str| Some(folder.path().join(name).to_string_lossy().into_owned());
        let cluster = kubeconfig.clusters[0].cluster.clone().unwrap();
        let user = |at: usize| kubeconfig.auth_infos[at].auth_info.clone().unwrap();
        assert_eq!(cluster.certificate_authority, below("ca.crt"));
        assert_eq!(user(0).client_certificate, below("pki/u.crt"));
        assert_eq!(user(0).client_key.as_deref(), Some("/u.key"));
        assert_eq!(user(0).token_file, below("token"));
        assert_eq!(user(0).exec.unwrap().command, below("bin/login"));
        assert_eq!(user(1).exec.unwrap().command.as_deref(), Some("aws"));
    }
}
