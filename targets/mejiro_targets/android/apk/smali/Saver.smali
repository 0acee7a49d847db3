# Save what the page offers for download, where the user says. Nothing of the app's is shown to the
# page for this: it clicks on a link, as in any browser.

.class final Lorg/mejiro/shell/Saver;
.super Ljava/lang/Object;
.implements Landroid/webkit/DownloadListener;

.field private final activity:Lorg/mejiro/shell/PageActivity;

.field private final view:Landroid/webkit/WebView;


.method constructor <init>(Lorg/mejiro/shell/PageActivity;Landroid/webkit/WebView;)V
    .registers 3

    invoke-direct {p0}, Ljava/lang/Object;-><init>()V
    iput-object p1, p0, Lorg/mejiro/shell/Saver;->activity:Lorg/mejiro/shell/PageActivity;
    iput-object p2, p0, Lorg/mejiro/shell/Saver;->view:Landroid/webkit/WebView;
    return-void
.end method


.method public onDownloadStart(Ljava/lang/String;Ljava/lang/String;Ljava/lang/String;Ljava/lang/String;J)V
    .registers 9

    const-string v0, "blob:"
    invoke-virtual {p1, v0}, Ljava/lang/String;->startsWith(Ljava/lang/String;)Z
    move-result v0
    if-nez v0, :blob
    const-string v0, "data:"
    invoke-virtual {p1, v0}, Ljava/lang/String;->startsWith(Ljava/lang/String;)Z
    move-result v0
    if-eqz v0, :failed

    :try_start
    invoke-static {p1}, Lorg/mejiro/shell/Saver;->decode(Ljava/lang/String;)[B
    move-result-object v0
    invoke-direct {p0, v0}, Lorg/mejiro/shell/Saver;->keep([B)V
    invoke-direct {p0, p4}, Lorg/mejiro/shell/Saver;->askWhere(Ljava/lang/String;)V
    :try_end
    .catch Ljava/io/IOException; {:try_start .. :try_end} :unwritten
    .catch Ljava/lang/RuntimeException; {:try_start .. :try_end} :unwritten

    return-void

    :blob
    invoke-direct {p0, p1}, Lorg/mejiro/shell/Saver;->unwrap(Ljava/lang/String;)V
    return-void

    :unwritten
    move-exception v0

    :failed
    iget-object v0, p0, Lorg/mejiro/shell/Saver;->activity:Lorg/mejiro/shell/PageActivity;
    const v1, 0x7f030001
    invoke-virtual {v0, v1}, Lorg/mejiro/shell/PageActivity;->tell(I)V
    return-void
.end method


# Only the page can read a blob: have it offer the same bytes again, as a data: address.
.method private unwrap(Ljava/lang/String;)V
    .registers 6

    const-string v0, "fetch("
    invoke-static {p1}, Lorg/json/JSONObject;->quote(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v1
    invoke-virtual {v0, v1}, Ljava/lang/String;->concat(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v0
    const-string v1, ").then((answer) => answer.blob()).then((blob) => { const reader = new FileReader(); reader.onload = () => { const link = document.createElement('a'); link.href = reader.result; link.download = ''; link.click(); }; reader.readAsDataURL(blob); });"
    invoke-virtual {v0, v1}, Ljava/lang/String;->concat(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v0
    iget-object v1, p0, Lorg/mejiro/shell/Saver;->view:Landroid/webkit/WebView;
    const/4 v2, 0x0
    invoke-virtual {v1, v0, v2}, Landroid/webkit/WebView;->evaluateJavascript(Ljava/lang/String;Landroid/webkit/ValueCallback;)V
    return-void
.end method


# Return the bytes of a data: address (RFC 2397).
.method static decode(Ljava/lang/String;)[B
    .registers 5

    const/16 v0, 0x2c
    invoke-virtual {p0, v0}, Ljava/lang/String;->indexOf(I)I
    move-result v0
    const/4 v1, 0x0
    invoke-virtual {p0, v1, v0}, Ljava/lang/String;->substring(II)Ljava/lang/String;
    move-result-object v2
    add-int/lit8 v0, v0, 0x1
    invoke-virtual {p0, v0}, Ljava/lang/String;->substring(I)Ljava/lang/String;
    move-result-object v0
    invoke-static {v0}, Landroid/net/Uri;->decode(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v0
    const-string v3, ";base64"
    invoke-virtual {v2, v3}, Ljava/lang/String;->endsWith(Ljava/lang/String;)Z
    move-result v2
    if-eqz v2, :text
    invoke-static {v0, v1}, Landroid/util/Base64;->decode(Ljava/lang/String;I)[B
    move-result-object v0
    return-object v0

    :text
    sget-object v1, Ljava/nio/charset/StandardCharsets;->UTF_8:Ljava/nio/charset/Charset;
    invoke-virtual {v0, v1}, Ljava/lang/String;->getBytes(Ljava/nio/charset/Charset;)[B
    move-result-object v0
    return-object v0
.end method


.method private static kept(Landroid/content/Context;)Ljava/io/File;
    .registers 4

    new-instance v0, Ljava/io/File;
    invoke-virtual {p0}, Landroid/content/Context;->getCacheDir()Ljava/io/File;
    move-result-object v1
    const-string v2, "to-be-saved"
    invoke-direct {v0, v1, v2}, Ljava/io/File;-><init>(Ljava/io/File;Ljava/lang/String;)V
    return-object v0
.end method


# In a file, as Android may end this app while the user looks for a folder.
.method private keep([B)V
    .registers 4

    iget-object v0, p0, Lorg/mejiro/shell/Saver;->activity:Lorg/mejiro/shell/PageActivity;
    invoke-static {v0}, Lorg/mejiro/shell/Saver;->kept(Landroid/content/Context;)Ljava/io/File;
    move-result-object v0
    new-instance v1, Ljava/io/FileOutputStream;
    invoke-direct {v1, v0}, Ljava/io/FileOutputStream;-><init>(Ljava/io/File;)V

    :try_start
    invoke-virtual {v1, p1}, Ljava/io/FileOutputStream;->write([B)V
    :try_end
    .catchall {:try_start .. :try_end} :close

    invoke-virtual {v1}, Ljava/io/FileOutputStream;->close()V
    return-void

    :close
    move-exception v0
    invoke-virtual {v1}, Ljava/io/FileOutputStream;->close()V
    throw v0
.end method


.method private askWhere(Ljava/lang/String;)V
    .registers 5

    new-instance v0, Landroid/content/Intent;
    const-string v1, "android.intent.action.CREATE_DOCUMENT"
    invoke-direct {v0, v1}, Landroid/content/Intent;-><init>(Ljava/lang/String;)V
    const-string v1, "android.intent.category.OPENABLE"
    invoke-virtual {v0, v1}, Landroid/content/Intent;->addCategory(Ljava/lang/String;)Landroid/content/Intent;
    const-string v1, "android.intent.extra.TITLE"
    invoke-static {p1}, Lorg/mejiro/shell/Saver;->nameOf(Ljava/lang/String;)Ljava/lang/String;
    move-result-object v2
    invoke-virtual {v0, v1, v2}, Landroid/content/Intent;->putExtra(Ljava/lang/String;Ljava/lang/String;)Landroid/content/Intent;
    if-eqz p1, :unknown
    invoke-virtual {p1}, Ljava/lang/String;->length()I
    move-result v1
    if-nez v1, :known

    :unknown
    const-string p1, "application/octet-stream"

    :known
    invoke-virtual {v0, p1}, Landroid/content/Intent;->setType(Ljava/lang/String;)Landroid/content/Intent;
    iget-object v1, p0, Lorg/mejiro/shell/Saver;->activity:Lorg/mejiro/shell/PageActivity;
    const/4 v2, 0x3
    invoke-virtual {v1, v0, v2}, Landroid/app/Activity;->startActivityForResult(Landroid/content/Intent;I)V
    return-void
.end method


# A WebView does not tell the name that the page gave; the user can change this one.
.method private static nameOf(Ljava/lang/String;)Ljava/lang/String;
    .registers 3

    const-string v0, "application/json"
    invoke-virtual {v0, p0}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v0
    if-eqz v0, :other
    const-string v0, "mejiro-report.json"
    return-object v0

    :other
    const-string v0, "image/png"
    invoke-virtual {v0, p0}, Ljava/lang/String;->equals(Ljava/lang/Object;)Z
    move-result v0
    if-eqz v0, :unknown
    const-string v0, "mejiro.png"
    return-object v0

    :unknown
    const-string v0, "mejiro"
    return-object v0
.end method


# Write what was kept to the place that the user chose, and say how it went.
.method static write(Lorg/mejiro/shell/PageActivity;Landroid/net/Uri;)V
    .registers 6

    invoke-static {p0}, Lorg/mejiro/shell/Saver;->kept(Landroid/content/Context;)Ljava/io/File;
    move-result-object v0

    :try_start
    invoke-virtual {p0}, Landroid/content/Context;->getContentResolver()Landroid/content/ContentResolver;
    move-result-object v1
    invoke-static {v0, v1, p1}, Lorg/mejiro/shell/Saver;->copy(Ljava/io/File;Landroid/content/ContentResolver;Landroid/net/Uri;)V
    :try_end
    .catch Ljava/io/IOException; {:try_start .. :try_end} :failed
    .catch Ljava/lang/RuntimeException; {:try_start .. :try_end} :failed

    invoke-virtual {v0}, Ljava/io/File;->delete()Z
    const v1, 0x7f030002
    invoke-virtual {p0, v1}, Lorg/mejiro/shell/PageActivity;->tell(I)V
    return-void

    :failed
    move-exception v1
    const v1, 0x7f030001
    invoke-virtual {p0, v1}, Lorg/mejiro/shell/PageActivity;->tell(I)V
    return-void
.end method


.method private static copy(Ljava/io/File;Landroid/content/ContentResolver;Landroid/net/Uri;)V
    .registers 8

    new-instance v0, Ljava/io/FileInputStream;
    invoke-direct {v0, p0}, Ljava/io/FileInputStream;-><init>(Ljava/io/File;)V

    :try_start
    invoke-virtual {p1, p2}, Landroid/content/ContentResolver;->openOutputStream(Landroid/net/Uri;)Ljava/io/OutputStream;
    move-result-object v1
    const/16 v2, 0x4000
    new-array v2, v2, [B

    :next
    invoke-virtual {v0, v2}, Ljava/io/InputStream;->read([B)I
    move-result v3
    if-ltz v3, :end
    const/4 v4, 0x0
    invoke-virtual {v1, v2, v4, v3}, Ljava/io/OutputStream;->write([BII)V
    goto :next

    # It is not saved until it is closed.
    :end
    invoke-virtual {v1}, Ljava/io/OutputStream;->close()V
    :try_end
    .catchall {:try_start .. :try_end} :close

    invoke-virtual {v0}, Ljava/io/InputStream;->close()V
    return-void

    :close
    move-exception v1
    invoke-virtual {v0}, Ljava/io/InputStream;->close()V
    throw v1
.end method
