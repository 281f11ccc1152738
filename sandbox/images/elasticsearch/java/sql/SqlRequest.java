package essql;

import java.util.Map;
import org.elasticsearch.action.ActionRequest;
import org.elasticsearch.action.ActionRequestValidationException;
import org.elasticsearch.action.CompositeIndicesRequest;

/** A statement as received. It never leaves the node, and its indices are known only when they are read. */
final class SqlRequest extends ActionRequest implements CompositeIndicesRequest {
    final Map<String, Object> body;
    final String format;

    SqlRequest(Map<String, Object> body, String format) {
        this.body = body;
        this.format = format;
    }

    @Override
    public ActionRequestValidationException validate() {
        return null;
    }
}
