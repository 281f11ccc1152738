# The sandbox's certificate authority and its certificates. Created once, and again after a purge or when
# their content would differ. Sourced.

PKI=$STATE/pki

certificates_key() {
  {
    cat "$SANDBOX/lib/certificates.sh"
    echo "$NODE_IP $NODE_NAME"
  } | sha256sum | cut -c1-16
}

certificates_are_current() { [ "$(cat "$PKI/key" 2>/dev/null)" = "$(certificates_key)" ]; }

make_certificates() {
  rm -rf "$PKI.new"
  mkdir -p "$PKI.new" "$STATE/logs"
  (
    cd "$PKI.new"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
      -subj /CN=lastack-sandbox-ca -keyout ca.key -out ca.crt
    certificate apiserver /CN=kube-apiserver \
      "IP:$NODE_IP,IP:10.96.0.1,IP:127.0.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost"
    certificate apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
    certificate front-proxy-client /CN=front-proxy-client
    certificate admin /O=system:masters/CN=admin
    certificate sandbox /O=system:masters/CN=sandbox
    certificate kube-controller-manager /CN=system:kube-controller-manager
    certificate kube-scheduler /CN=system:kube-scheduler
    certificate kube-proxy /CN=system:kube-proxy
    certificate kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" "IP:$NODE_IP,DNS:$NODE_NAME"
    certificate chart-repository /CN=helm.elastic.co DNS:helm.elastic.co
    openssl ecparam -genkey -name prime256v1 -noout -out service-accounts.key
    openssl ec -in service-accounts.key -pubout -out service-accounts.pub
    for user in sandbox kube-controller-manager kube-scheduler kube-proxy kubelet; do kubeconfig_for "$user"; done
    kubeconfig_for admin
  ) >"$STATE/logs/certificates.log" 2>&1 || fail "creating the certificates failed, see $STATE/logs/certificates.log"
  certificates_key >"$PKI.new/key"
  sync --file-system "$PKI.new"
  rm -rf "$PKI"
  mv "$PKI.new" "$PKI"
}

certificate() { # NAME SUBJECT [ALTERNATIVE NAMES]
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" \
    -extfile <(printf 'extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' "${3:-DNS:$1}")
  rm "$1.csr"
}

# The file embeds everything, so that a copy of it works too.
kubeconfig_for() {
  cat >"$1.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters:
  - name: lastack-sandbox
    cluster: {server: "https://$NODE_IP:6443", certificate-authority-data: $(base64 -w0 ca.crt)}
users:
  - name: $1
    user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}
contexts:
  - name: lastack-sandbox
    context: {cluster: lastack-sandbox, user: $1}
current-context: lastack-sandbox
END
  chmod 600 "$1.kubeconfig" "$1.key"
}
