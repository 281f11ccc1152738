package essql;

import org.elasticsearch.action.ActionListener;
import org.elasticsearch.action.support.ActionFilters;
import org.elasticsearch.action.support.TransportAction;
import org.elasticsearch.client.internal.Client;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.injection.guice.Inject;
import org.elasticsearch.tasks.Task;
import org.elasticsearch.threadpool.ThreadPool;
import org.elasticsearch.transport.TransportService;

/** The three actions. They run on the node that receives the request, on a thread that may block. */
final class SqlActions {
    private SqlActions() {}

    private abstract static class Action extends TransportAction<SqlRequest, SqlReply> {
        private final SqlService service;
        private final String enginePath;

        Action(String name, String enginePath, ActionFilters filters, TransportService transport, ThreadPool threads, Client client, ClusterService cluster,
            Settings settings) {
            super(name, filters, transport.getTaskManager(), threads.generic());
            this.enginePath = enginePath;
            this.service = SqlService.of(client, cluster, SqlPlugin.ENGINE.get(settings));
        }

        @Override
        protected void doExecute(Task task, SqlRequest request, ActionListener<SqlReply> listener) {
            ActionListener.completeWith(listener, () -> service.run(enginePath, request));
        }
    }

    public static final class Query extends Action {
        @Inject
        public Query(ActionFilters f, TransportService t, ThreadPool p, Client c, ClusterService cs, Settings s) {
            super(SqlPlugin.QUERY.name(), "/_xpack/sql", f, t, p, c, cs, s);
        }
    }

    public static final class Translate extends Action {
        @Inject
        public Translate(ActionFilters f, TransportService t, ThreadPool p, Client c, ClusterService cs, Settings s) {
            super(SqlPlugin.TRANSLATE.name(), "/_xpack/sql/translate", f, t, p, c, cs, s);
        }
    }

    public static final class Close extends Action {
        @Inject
        public Close(ActionFilters f, TransportService t, ThreadPool p, Client c, ClusterService cs, Settings s) {
            super(SqlPlugin.CLOSE.name(), "/_xpack/sql/close", f, t, p, c, cs, s);
        }
    }
}
