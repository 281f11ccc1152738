# Artifacts of Maven Central: group:name:version, or group:name:version:type for other types than jar. Sourced.

maven_file() {
  local group name version type
  IFS=: read -r group name version type <<<"$1"
  echo "$name-$version.${type:-jar}"
}

maven_url() {
  local group name version
  IFS=: read -r group name version _ <<<"$1"
  echo "https://repo.maven.apache.org/maven2/${group//.//}/$name/$version/$(maven_file "$1")"
}
