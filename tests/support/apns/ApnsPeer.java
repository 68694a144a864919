import com.eatthepath.pushy.apns.auth.ApnsVerificationKey;
import com.eatthepath.pushy.apns.server.*;
import io.netty.buffer.ByteBuf;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.handler.codec.http2.Http2Headers;
import java.io.File;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.security.KeyFactory;
import java.security.interfaces.ECPublicKey;
import java.security.spec.X509EncodedKeySpec;
import java.time.Instant;
import java.util.*;

/**
 * A peer that answers as Apple's push service does: pushy's own server checks the provider token's signature, topic,
 * device token, headers and payload. What a device token is stands in its first digits: a11e is alive, dead has been
 * unregistered since SINCE, ee and two hexadecimal digits is rejected for the reason of that number; others are bad.
 *
 * Arguments: PORT CERTIFICATE_PEM KEY_PEM PROVIDER_PUBLIC_KEY_DER KEY_ID TEAM_ID TOPIC SINCE_MS tell|quiet.
 * Prints "ready", then unless it is to be quiet one line for each notification, tabs between:
 * accepted PATH TOPIC TYPE PRIORITY EXPIRATION COLLAPSE_ID PAYLOAD, or rejected REASON PATH.
 */
public class ApnsPeer {
  public static void main(String[] a) throws Exception {
    KeyFactory keys = KeyFactory.getInstance("EC");
    var provider = (ECPublicKey) keys.generatePublic(new X509EncodedKeySpec(Files.readAllBytes(Path.of(a[3]))));
    ApnsVerificationKey key = new ApnsVerificationKey(a[4], a[5], provider);
    Instant since = Instant.ofEpochMilli(Long.parseLong(a[7]));
    boolean tell = a[8].equals("tell");
    // The server asks its maps for null as well: no Map.of.
    Map<String, Set<String>> tokens = new HashMap<>(Map.of(a[6], known(), a[6] + ".voip", known()));
    Map<String, Instant> expired = new HashMap<>() {
      @Override public Instant get(Object token) {
        return token != null && token.toString().startsWith("dead") ? since : null;
      }
    };
    Map<String, ApnsVerificationKey> byId = new HashMap<>(Map.of(a[4], key));
    Map<ApnsVerificationKey, Set<String>> topics = new HashMap<>(Map.of(key, new HashSet<>(tokens.keySet())));
    var validating = new ValidatingPushNotificationHandlerFactory(tokens, expired, byId, topics);
    new MockApnsServerBuilder()
        .setServerCredentials(new File(a[1]), new File(a[2]), null)
        .setUseAlpn(true)
        .setEventLoopGroup(new NioEventLoopGroup(1))
        .setHandlerFactory(session -> rejecting(jose(validating.buildHandler(session)), since))
        .setListener(new MockApnsServerListener() {
          public void handlePushNotificationAccepted(Http2Headers headers, ByteBuf payload) {
            if (!tell) return;
            StringBuilder line = new StringBuilder("accepted\t").append(headers.path());
            for (String name : List.of("topic", "push-type", "priority", "expiration", "collapse-id"))
              line.append('\t').append(Objects.requireNonNullElse(headers.get("apns-" + name), ""));
            print(line.append('\t').append(payload == null ? "" : payload.toString(StandardCharsets.UTF_8)).toString());
          }
          public void handlePushNotificationRejected(Http2Headers headers, ByteBuf p, RejectionReason why, Instant at) {
            if (tell) print("rejected\t" + why + "\t" + headers.path());
          }
        }).build().start(Integer.parseInt(a[0])).get();
    print("ready");
    Thread.currentThread().join();
  }

  /** All that the digits say something of. */
  static Set<String> known() {
    return new HashSet<>() {
      @Override public boolean contains(Object token) {
        return token != null && token.toString().matches("(a11e|dead|ee)[0-9a-f]+");
      }
    };
  }

  static PushNotificationHandler rejecting(PushNotificationHandler inner, Instant since) {
    return (headers, payload) -> {
      inner.handlePushNotification(headers, payload);
      String token = headers.path().toString().replace("/3/device/", "");
      if (!token.startsWith("ee")) return;
      RejectionReason reason = RejectionReason.values()[Integer.parseInt(token.substring(2, 4), 16)];
      if (reason == RejectionReason.UNREGISTERED) throw new UnregisteredDeviceTokenException(since);
      throw new RejectedNotificationException(reason);
    };
  }

  /** The server verifies signatures in DER form; a JWT carries them as r||s (RFC 7518, 3.4). */
  static PushNotificationHandler jose(PushNotificationHandler inner) {
    return (headers, payload) -> {
      CharSequence value = headers.get("authorization");
      String[] part = value == null ? new String[0] : value.toString().split("\\.");
      if (part.length == 3) headers.set("authorization", part[0] + "." + part[1] + "." + der(part[2]));
      inner.handlePushNotification(headers, payload);
    };
  }

  static String der(String signature) {
    byte[] raw = Base64.getUrlDecoder().decode(signature);
    if (raw.length != 64) return signature;
    byte[] r = integer(raw, 0), s = integer(raw, 32);
    byte[] out = ByteBuffer.allocate(6 + r.length + s.length).put((byte) 0x30).put((byte) (4 + r.length + s.length))
        .put((byte) 2).put((byte) r.length).put(r).put((byte) 2).put((byte) s.length).put(s).array();
    return Base64.getUrlEncoder().withoutPadding().encodeToString(out);
  }

  static byte[] integer(byte[] raw, int from) {
    return new BigInteger(1, Arrays.copyOfRange(raw, from, from + 32)).toByteArray();
  }

  /** In UTF-8, whatever the machine's language. */
  static synchronized void print(String line) {
    System.out.writeBytes((line + "\n").getBytes(StandardCharsets.UTF_8));
    System.out.flush();
  }
}
