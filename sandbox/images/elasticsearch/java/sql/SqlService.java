package essql;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.elasticsearch.client.internal.Client;
import org.elasticsearch.cluster.metadata.IndexMetadata;
import org.elasticsearch.cluster.service.ClusterService;

/** Runs statements: updates the copies, queries the engine, and converts its response into the form of 8. */
final class SqlService {
    /** Fields of a request that both versions know. */
    private static final Set<String> PASSED_ON = Set.of("query", "cursor", "fetch_size", "time_zone", "params", "filter", "request_timeout", "page_timeout",
        "mode", "client_id", "field_multi_value_leniency", "index_include_frozen");
    /** Fields of a request that only 8 knows and that have no effect here. */
    private static final Set<String> LEFT_OUT = Set.of("binary_format", "allow_partial_search_results", "version", "catalog",
        "wait_for_completion_timeout", "keep_on_completion", "keep_alive");
    private static final Set<String> UTC = Set.of("UTC", "Z", "Etc/UTC", "GMT");

    private static SqlService only;

    private final ClusterService cluster;
    private final Engine engine;
    private final Copies copies;
    private final ResponseConversion conversion = new ResponseConversion();

    private SqlService(Client client, ClusterService cluster, Engine engine) {
        this.cluster = cluster;
        this.engine = engine;
        this.copies = new Copies(engine, client, cluster);
    }

    /** One instance serves the three actions of a node. */
    static synchronized SqlService of(Client client, ClusterService cluster, String engine) {
        if (only == null) only = new SqlService(client, cluster, new Engine(engine));
        return only;
    }

    SqlReply run(String enginePath, SqlRequest request) throws Exception {
        Map<String, Object> body = new LinkedHashMap<>();
        for (var entry : request.body.entrySet()) {
            String key = entry.getKey();
            if (PASSED_ON.contains(key)) {
                body.put(key, entry.getValue());
            } else if (key.equals("columnar") && Boolean.TRUE.equals(entry.getValue())) {
                return SqlReply.error(400, "action_request_validation_exception", "[columnar] is not available here");
            } else if (key.equals("columnar") == false && LEFT_OUT.contains(key) == false) {
                return SqlReply.error(400, "x_content_parse_exception", "[sql/query] unknown field [" + key + "]");
            }
        }
        if (body.get("query") instanceof String sql) return run(enginePath, request.format, body, new SqlStatement(sql));
        return conversion.reply(ask(enginePath, request.format, body), Map.of(), (String) body.get("cursor"));
    }

    private SqlReply run(String enginePath, String format, Map<String, Object> body, SqlStatement statement) throws Exception {
        if (statement.isShowTables()) return showTables(statement.like());
        TreeMap<String, IndexCopy> used = new TreeMap<>();
        for (int position : statement.tables()) {
            String table = statement.table(position);
            List<String> indices = copies.visible(table);
            if (indices.isEmpty()) return SqlReply.error(400, "verification_exception", "Found 1 problem\nline 1:1: Unknown index [" + table + "]");
            used.putAll(copies.upToDate(indices));
            if (indices.equals(List.of(table)) == false) statement.replaceTable(position, indices);
        }
        try (AutoCloseable held = Copies.hold(used)) {
            statement.rewrite(used.values().stream().map(IndexCopy::columns).toList());
            String zone = String.valueOf(body.getOrDefault("time_zone", "UTC"));
            if (UTC.contains(zone) == false && statement.usesTruncatedDates()) {
                return SqlReply.error(400, "sql_illegal_argument_exception", "dates are truncated in UTC only here, not in [" + zone + "]");
            }
            body.put("query", statement.toString());
            return conversion.reply(ask(enginePath, format, body), statement.replaced(), null);
        }
    }

    private Engine.Response ask(String path, String format, Map<String, Object> body) throws IOException {
        return engine.call("POST", format.equals("json") ? path : path + "?format=" + Engine.encode(format), body);
    }

    /** The engine has only the indices of earlier statements. */
    private SqlReply showTables(Pattern like) {
        String catalog = cluster.getClusterName().value();
        TreeMap<String, List<Object>> rows = new TreeMap<>();
        for (String index : copies.visible("*")) {
            rows.put(index, Arrays.asList(catalog, index, "TABLE", "INDEX"));
            IndexMetadata metadata = cluster.state().metadata().index(index);
            if (metadata != null) metadata.getAliases().keySet().forEach(alias -> rows.put(alias, Arrays.asList(catalog, alias, "VIEW", "ALIAS")));
        }
        if (like != null) rows.keySet().removeIf(name -> like.matcher(name).matches() == false);
        List<Map<String, Object>> columns = new ArrayList<>();
        for (String name : List.of("catalog", "name", "type", "kind")) columns.add(Map.of("name", name, "type", "keyword"));
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("columns", columns);
        json.put("rows", new ArrayList<>(rows.values()));
        return SqlReply.json(200, json);
    }
}
