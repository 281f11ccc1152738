package essql;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.elasticsearch.action.ActionResponse;
import org.elasticsearch.common.io.stream.StreamOutput;

/** The response to a statement: JSON, or the text of another format. */
final class SqlReply extends ActionResponse {
    final int status;
    final Map<String, Object> json; // null for text
    final String text;
    final String textType;

    private SqlReply(int status, Map<String, Object> json, String text, String textType) {
        this.status = status;
        this.json = json;
        this.text = text;
        this.textType = textType;
    }

    static SqlReply json(int status, Map<String, Object> json) {
        return new SqlReply(status, json, null, null);
    }

    static SqlReply text(int status, String text, String type) {
        return new SqlReply(status, null, text, type);
    }

    /** An error in the form of all errors of Elasticsearch. */
    static SqlReply error(int status, String type, String reason) {
        Map<String, Object> cause = new LinkedHashMap<>();
        cause.put("type", type);
        cause.put("reason", reason);
        Map<String, Object> error = new LinkedHashMap<>();
        error.put("root_cause", List.of(cause));
        error.putAll(cause);
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("error", error);
        body.put("status", status);
        return json(status, body);
    }

    @Override
    public void writeTo(StreamOutput out) {
        throw new UnsupportedOperationException("stays on its node");
    }
}
