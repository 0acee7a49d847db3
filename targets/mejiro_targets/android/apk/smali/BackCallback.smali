# Take the back gesture where it no longer calls onBackPressed: Android 16 with a target of 36.
# A class of its own, as Android below 13 has neither of the two interfaces.

.class final Lorg/mejiro/shell/BackCallback;
.super Ljava/lang/Object;
.implements Landroid/window/OnBackInvokedCallback;

.field private final activity:Lorg/mejiro/shell/PageActivity;


.method private constructor <init>(Lorg/mejiro/shell/PageActivity;)V
    .registers 2

    invoke-direct {p0}, Ljava/lang/Object;-><init>()V
    iput-object p1, p0, Lorg/mejiro/shell/BackCallback;->activity:Lorg/mejiro/shell/PageActivity;
    return-void
.end method


.method static register(Lorg/mejiro/shell/PageActivity;)V
    .registers 4

    invoke-virtual {p0}, Landroid/app/Activity;->getOnBackInvokedDispatcher()Landroid/window/OnBackInvokedDispatcher;
    move-result-object v0
    new-instance v1, Lorg/mejiro/shell/BackCallback;
    invoke-direct {v1, p0}, Lorg/mejiro/shell/BackCallback;-><init>(Lorg/mejiro/shell/PageActivity;)V
    const/4 v2, 0x0
    invoke-interface {v0, v2, v1}, Landroid/window/OnBackInvokedDispatcher;->registerOnBackInvokedCallback(ILandroid/window/OnBackInvokedCallback;)V
    return-void
.end method


.method public onBackInvoked()V
    .registers 2

    iget-object v0, p0, Lorg/mejiro/shell/BackCallback;->activity:Lorg/mejiro/shell/PageActivity;
    invoke-virtual {v0}, Lorg/mejiro/shell/PageActivity;->onBackPressed()V
    return-void
.end method
