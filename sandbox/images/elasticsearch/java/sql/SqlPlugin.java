package essql;

import java.util.Collection;
import java.util.List;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.elasticsearch.action.ActionRequest;
import org.elasticsearch.action.ActionResponse;
import org.elasticsearch.action.ActionType;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Setting;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;

/**
 * Serves _sql on an Elasticsearch whose SQL module is not published. A private Elasticsearch 6.8, which has SQL, runs
 * beside each node on loopback and holds copies of the indices that statements name. The plugin updates a copy with the
 * rights of the caller before a statement uses it.
 */
public class SqlPlugin extends Plugin implements ActionPlugin {
    static final Setting<String> ENGINE = Setting.simpleString("standin.sql.engine", "http://127.0.0.1:19268", Setting.Property.NodeScope);

    // The names of the actions of the stock module, because the privileges of roles use them.
    static final ActionType<SqlReply> QUERY = new ActionType<>("indices:data/read/sql");
    static final ActionType<SqlReply> TRANSLATE = new ActionType<>("indices:data/read/sql/translate");
    static final ActionType<SqlReply> CLOSE = new ActionType<>("indices:data/read/sql/close_cursor");

    @Override
    public List<Setting<?>> getSettings() {
        return List.of(ENGINE);
    }

    @Override
    public Collection<ActionHandler<? extends ActionRequest, ? extends ActionResponse>> getActions() {
        return List.of(
            new ActionHandler<>(QUERY, SqlActions.Query.class),
            new ActionHandler<>(TRANSLATE, SqlActions.Translate.class),
            new ActionHandler<>(CLOSE, SqlActions.Close.class)
        );
    }

    @Override
    public Collection<RestHandler> getRestHandlers(Settings s, NamedWriteableRegistry n, RestController c, ClusterSettings cs, IndexScopedSettings is,
        SettingsFilter sf, IndexNameExpressionResolver r, Supplier<DiscoveryNodes> d, Predicate<NodeFeature> f) {
        return List.of(new SqlRest("/_sql", QUERY), new SqlRest("/_sql/translate", TRANSLATE), new SqlRest("/_sql/close", CLOSE));
    }
}
