# The kubectl, the helm and the object storage that `sandbox/env` puts on the PATH. Sourced.

TOOLS=$STATE/tools

# The built programs under fixed names. They need no running sandbox.
link_programs() {
  ln -sfn "$(part_path kube)" "$BIN"
  ln -sfn "$(part_path helm3)" "$STATE/helm3"
  ln -sfn "$(part_path helm4)" "$STATE/helm4"
}

write_tools() {
  local helm
  link_programs
  for helm in helm3 helm4; do
    mkdir -p "$TOOLS/$helm"
    ln -sf "$BIN/kubectl" "$TOOLS/$helm/kubectl"
    ln -sf "$(part_path versitygw)/versitygw" "$TOOLS/$helm/versitygw"
    write_helm "$STATE/$helm/helm" "$TOOLS/$helm/helm"
  done
  install -m 600 "$PKI/admin.kubeconfig" "$STATE/kubeconfig"
}

# helm in the sandbox's network, where helm.elastic.co is the sandbox's chart repository. Each command replaces the
# process by the next, so signals, arguments and exit code are helm's. No proxy is reachable there.
write_helm() {
  cat >"$2.new" <<END
#!/bin/sh
SSL_CERT_FILE='$PKI/ca.crt' exec ${WITHOUT_PROXY[*]} ip netns exec '$NETNS' '$1' "\$@"
END
  chmod 755 "$2.new"
  mv "$2.new" "$2"
}
