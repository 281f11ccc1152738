package essql;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.elasticsearch.action.ActionType;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.rest.action.RestActionListener;

/** The HTTP side of one of the three actions. */
final class SqlRest extends BaseRestHandler {
    private final String path;
    private final ActionType<SqlReply> action;

    SqlRest(String path, ActionType<SqlReply> action) {
        this.path = path;
        this.action = action;
    }

    @Override
    public String getName() {
        return "standin" + path.replace('/', '_');
    }

    @Override
    public List<Route> routes() {
        Route post = new Route(RestRequest.Method.POST, path);
        return action == SqlPlugin.CLOSE ? List.of(post) : List.of(post, new Route(RestRequest.Method.GET, path));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) throws IOException {
        String format = request.param("format", "json");
        Map<String, Object> body;
        try (var parser = request.contentOrSourceParamParser()) {
            body = parser.map();
        }
        SqlRequest sql = new SqlRequest(body, format);
        return channel -> client.execute(action, sql, new RestActionListener<SqlReply>(channel) {
            @Override
            protected void processResponse(SqlReply reply) throws Exception {
                RestStatus status = RestStatus.fromCode(reply.status);
                channel.sendResponse(reply.json == null
                    ? new RestResponse(status, reply.textType, reply.text)
                    : new RestResponse(status, channel.newBuilder().map(reply.json)));
            }
        });
    }
}
