package essql;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ConnectException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.elasticsearch.ElasticsearchStatusException;
import org.elasticsearch.common.bytes.BytesReference;
import org.elasticsearch.common.xcontent.XContentHelper;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.XContentBuilder;
import org.elasticsearch.xcontent.json.JsonXContent;

/** The HTTP client of the private Elasticsearch 6.8. */
final class Engine {
    private static final int CONNECT_MILLIS = 3_000;
    private static final int READ_MILLIS = 120_000;
    /** The engine starts after the node, on a machine that can be busy. */
    private static final long BOOT_NANOS = 90_000_000_000L;

    private final String base;

    Engine(String base) {
        this.base = base;
    }

    record Response(int status, String type, byte[] body) {
        String text() {
            return new String(body, StandardCharsets.UTF_8);
        }

        Map<String, Object> map() {
            return body.length == 0 ? new LinkedHashMap<>() : XContentHelper.convertToMap(JsonXContent.jsonXContent, text(), true);
        }

        Response orFail() {
            if (status < 300) return this;
            throw new ElasticsearchStatusException("the SQL engine says " + status + " " + text(), RestStatus.INTERNAL_SERVER_ERROR);
        }
    }

    Response call(String method, String path) {
        return call(method, path, null, null);
    }

    Response call(String method, String path, Map<String, ?> json) throws IOException {
        try (XContentBuilder b = JsonXContent.contentBuilder()) {
            return call(method, path, "application/json", BytesReference.toBytes(BytesReference.bytes(b.map(json))));
        }
    }

    Response call(String method, String path, String type, byte[] body) {
        long deadline = System.nanoTime() + BOOT_NANOS;
        while (true) {
            try {
                return once(method, path, type, body);
            } catch (ConnectException e) {
                if (System.nanoTime() > deadline) throw unreachable(e);
                pause();
            } catch (IOException e) {
                throw unreachable(e);
            }
        }
    }

    private Response once(String method, String path, String type, byte[] body) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) URI.create(base + path).toURL().openConnection();
        connection.setConnectTimeout(CONNECT_MILLIS);
        connection.setReadTimeout(READ_MILLIS);
        connection.setRequestMethod(method);
        connection.setRequestProperty("Accept", path.contains("?format=") ? "*/*" : "application/json");
        if (body != null) {
            connection.setRequestProperty("Content-Type", type);
            connection.setDoOutput(true);
            connection.setFixedLengthStreamingMode(body.length);
            try (OutputStream out = connection.getOutputStream()) {
                out.write(body);
            }
        }
        int status = connection.getResponseCode();
        try (InputStream in = status >= 400 ? connection.getErrorStream() : connection.getInputStream()) {
            return new Response(status, connection.getContentType(), in == null ? new byte[0] : in.readAllBytes());
        }
    }

    private ElasticsearchStatusException unreachable(IOException cause) {
        return new ElasticsearchStatusException("the SQL engine at " + base + " does not respond", RestStatus.SERVICE_UNAVAILABLE, cause);
    }

    private static void pause() {
        try {
            Thread.sleep(200);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
    }

    static String encode(String s) {
        return URLEncoder.encode(s, StandardCharsets.UTF_8).replace("+", "%20");
    }
}
